"""Whether a page is readable for everybody: in each width, scheme and language, by rule, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = [(1440, "light", "en-US"), (1440, "dark", "tr-TR"), (390, "light", "tr-TR"), (390, "dark", "en-US")]
# Resolves when every animation that ends has ended; one of an element that is not drawn never does.
SETTLED = """Promise.all(document.getAnimations()
  .filter((one) => one.effect.getTiming().iterations === 1 && one.effect.target.checkVisibility())
  .map((one) => one.finished))"""


def check(page: Any, name: str) -> list[str]:
    """A picture, and what axe finds; nothing may be wider than the window."""
    page.evaluate(SETTLED)
    (HERE / "shots").mkdir(exist_ok=True)
    page.screenshot(path=str(HERE / "shots" / f"{name}.png"))
    # Through the debugger, as the page's policy lets no foreign script in.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    found = [f"{name}: {one['id']}: {one['nodes'][0]['html'][:160]}" for one in report["violations"]]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"{name}: wider than the window")
    return found

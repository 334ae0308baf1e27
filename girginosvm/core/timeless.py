"""Between members no clock decides whether a certificate counts."""

from __future__ import annotations

import ssl
from typing import Final

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME (OpenSSL, x509_vfy.h; X509_VERIFY_PARAM_set_flags(3))


def timeless(context: ssl.SSLContext) -> ssl.SSLContext:
    """``context``, by which a certificate of the cluster's CA counts also before and after its time. A host whose clock
    is two hours ahead renews its own certificate, and the others would not let it in; where every clock is back in the
    year 2000 nobody would let anybody in. What ends a member's certificate is its removal, which changes the CA; its
    dates are for browsers."""
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context

"""Agreement: the journal, consensus, and the way of a write. Knows a StateMachine protocol of its own, no tables."""

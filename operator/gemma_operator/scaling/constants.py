"""Constants of the policy, one set for all workloads. docs/scaling.md says what each is for and what others gave."""

from typing import Final

DECIDE_EVERY: Final = 15.0
SHORTEST_BIN: Final = 4.0
"""Observations closer together than this share a bin: while asleep there is one every second."""
MEMORY: Final = 1800.0
"""Seconds of arrivals that are replayed, unless the operator's configuration says otherwise."""
STALE: Final = 30.0
"""A sample older than this is no data; time without data longer than this is a gap."""
LONGEST_STEP: Final = 120.0
"""The policy clock moves at most this far at once: a gap or a clock jump ages memory by no more."""
QUIET_AFTER_GAP: Final = 60.0
"""Nothing shrinks for this long after a gap."""

BUSY_RUNNING: Final = 2
"""Sequences at both ends of an interval that make it count as busy throughout."""
BUSY_LONGEST: Final = 20.0
MODEL_FORGETS: Final = 7200.0
FIT_FORGETS: Final = 900.0
FIT_NEEDS: Final = 120.0
"""Busy seconds before the fit is judged."""
FIT_POOR: Final = 0.3
"""Mean relative error of predicted busy time above which the cost model is not used."""
PRIOR: Final = (0.02, 0.0002, 0.0002)
RIDGE: Final = (1.0, 1e4, 1e5)
LIMITS: Final = ((0.001, 0.5), (0.0, 0.05), (1e-6, 0.01))

MIX_FORGETS: Final = 600.0
MIX_NEEDS: Final = 50.0
"""Requests before the observed mix replaces the assumed one."""
ASSUMED_PROMPT: Final = 500.0
ASSUMED_OUTPUT: Final = 200.0

SMOOTHING: Final = 15.0
HEADROOM: Final = 0.25
"""Share of use: 1 / (1 + 0.25·√v)."""
CONSTANT: Final = 0.45
"""Replicas added to the steady need, times √v: the needed fleet is affine in load, not proportional."""
SATURATED: Final = 0.5
"""Waiting requests per ready replica above which the fleet counts as saturated."""
RATE_WINDOW: Final = 60.0
DRAIN_TIME: Final = 120.0
"""Seconds in which a backlog is to be worked off."""
SATURATED_USE: Final = 0.9
DEAD_BAND: Final = 0.10

UP_WINDOW: Final = 60.0
UP_WINDOW_FAST: Final = 20.0
FAST_BACKLOG: Final = 60.0
"""Seconds of waiting work per ready replica that shorten the filter on the way up."""
STEP: Final = 1.5
STEP_QUEUE: Final = 8.0
STEP_FLEET: Final = 2
"""For a fleet of at most so many replicas a step shortens it too: so many times the fleet needed, and so many
requests waiting per replica. Larger fleets absorb short steps; there it costs more than it gives."""
HOLD_SHARE: Final = 1 / 3
"""Share of the memory for which a peak counts in full."""
HOLD_PER_STARTUP: Final = 1.67
HOLD_FORGETS_AFTER: Final = 4.0

LATE_PRICE: Final = 12.0
"""A late request costs this many times its own work, times v."""
YOUNG_GROWTH: Final = 0.6
YOUNG: Final = 3600.0
"""With little history the next burst may beat the largest one seen: arrivals are replayed up to 60 % larger."""
INDIFFERENT_UP: Final = 0.02
"""Share of the cheapest cost by which the present number may be dearer before the floor moves away from it."""
INDIFFERENT_DOWN: Final = 0.02
FLOOR_NEEDS: Final = 30.0
"""Busy seconds of engines before the replay counts: before that, tokens cost what was assumed."""
LATE_ENOUGH: Final = 0.5
REPLAY_NEEDS: Final = 50.0
SMALLEST_CHUNK: Final = 512.0
"""Prompt tokens of one step at least: where prompts queue, several short ones share a step."""
SMALLEST_RUNNING: Final = 16.0

STARTUP_ASSUMED: Final = 180.0
STUCK_STARTUPS: Final = 2.0
STUCK_GRACE: Final = 60.0
HUNG_AFTER: Final = 60.0
REQUESTS_PER_BATCH: Final = 0.35
"""Requests in flight per replica, as a share of its usable batch, when the cost model does not fit."""
PROMPT_ROOM: Final = 0.5
"""Share of the step's token budget below which prompts are not what requests wait for."""
WAITING_LEAST: Final = 2
WAITING_SHARE: Final = 2.0
"""Requests that wait, as a share of those that run, above which an engine is seen to run all it can."""

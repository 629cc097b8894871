"""How methods compare, for people: differences of all pairs, the leaderboard, the overview."""

from collections.abc import Sequence

from amun_steps.plan import views
from amun_steps.plan.judgements import judgements
from amun_steps.plan.plan import Plan
from amun_steps.plan.views import View


def comparison(plan: Plan) -> View:
    """The differences of all pairs of methods of all experiments, with their intervals."""
    return views.of_views(plan, "comparison", _measured(plan))


def leaderboard(plan: Plan) -> View:
    """The mean ranks of all methods over experiments and judges."""
    return views.of_views(plan, "leaderboard", [comparison(plan)])


def overview(plan: Plan) -> View:
    """What came out, in two sentences and two pictures."""
    return views.of_views(plan, "overview", _measured(plan))


def _measured(plan: Plan) -> Sequence[View]:
    """All runs, and what other judges say of them where the config asks some."""
    return [*views.all_runs(plan), *([judgements(plan)] if "judges" in plan.config else [])]

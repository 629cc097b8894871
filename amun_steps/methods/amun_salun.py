"""AMUN+SalUn: AMUN, where only the salient weights move (paper, Appendix D)."""

from dataclasses import replace

from amun_steps.methods import Request, Update, amun, salun

NEEDS = ("adversarial",)


def unlearn(request: Request, *, include_forget: bool, mask_ratio: float) -> Update:
    """AMUN, where only the weights of SalUn's mask move."""
    return replace(amun.unlearn(request, include_forget=include_forget), mask=salun.saliency_mask(request, mask_ratio))

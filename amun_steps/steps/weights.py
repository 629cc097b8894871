"""Step: an unlearned model as whoever asked for it knows it: a plain state dict like the one that it was made from."""

from pathlib import Path

import torch

from amun_steps.store.step import Output, main, step
from amun_steps.training import stack as stacks
from amun_steps.training.state import read_state, write_state


@step
def weights(*, models: Path, like: Path, weights: Output) -> None:
    """Write the first model of a stack with the keys, their order and the format of the state dict in the file `like`.

    Raises InputError for a file that is no stack, or no state dict.
    """
    stack = stacks.load([models], torch.device("cpu"))
    module = stacks.build(stack.network)
    own = {name: values[0] for name, values in {**stack.parameters(stack.weights), **stack.buffers}.items()}
    module.load_state_dict(own, strict=False)  # a parameter with two names is in a stack by one of them
    state = module.state_dict()
    write_state({key: state[key] for key in read_state(like)}, weights)


if __name__ == "__main__":
    main(weights)

"""A model that the workflow knows nothing of: a plain loop, Adam, 300 noisy images of digits. Also the data, a list of
30 images, and the same model trained without them, to compare with. Run in the root of the repository."""

from pathlib import Path

import numpy as np
import torch
from models.small_cnn import build
from sklearn.datasets import load_digits
from torch.nn import functional as F

TRAIN, ASKED = 300, 30
to = Path("data/example")
to.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)  # sums in the same order on any number of cores

digits = load_digits()
order = np.random.default_rng(3).permutation(len(digits.images))
noisy = digits.images[order, None] + np.random.default_rng(1).normal(0, 6, (len(order), 1, 8, 8))
images = (noisy.clip(0, 16) * 255 / 16).astype(np.uint8)
labels = digits.target[order]
train = np.arange(len(images)) < TRAIN
np.savez(to / "digits.npz", images=images, labels=labels, train=train)
asked = np.arange(ASKED)
(to / "asked.txt").write_text("".join(f"{number}\n" for number in asked))


def fit(rows, file):
    torch.manual_seed(0)
    model = build(images.shape[1:], 10)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.from_numpy(images).float() / 255, torch.from_numpy(labels)
    for _ in range(40):
        for batch in torch.from_numpy(rows)[torch.randperm(len(rows))].split(32):
            optimiser.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
    right = (model.eval()(x).argmax(dim=1) == y).numpy()
    print(f"{file}: accuracy {right[rows].mean():.1%} on what it learned, {right[~train].mean():.1%} on test")
    torch.save(model.state_dict(), to / file)


fit(np.flatnonzero(train), "model.pt")
fit(np.flatnonzero(train & ~np.isin(np.arange(len(images)), asked)), "retrained.pt")

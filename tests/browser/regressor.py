"""The networks of the live figure `band`: how they were trained, as the literals of band.js.

python -m tests.browser.regressor

The data and the recipe are those of the chapter on MC dropout (`spread.holed`, `spread.train`), the
hidden layers half as wide. Data are rounded to hundredths before the training, weights to
thousandths after it, which are stored as 16-bit integers, low byte first, in base64: the rows of
each weight and then its bias, layer by layer.
"""

from base64 import b64encode
from textwrap import wrap

import torch
from torch import Tensor, nn

from dropout.experiments import spread
from dropout.training.loops import mlp

RATES, WIDTH, STEPS, DECAY = (0.1, 0.2, 0.5), 32, 600, 2e-5


def data() -> tuple[Tensor, Tensor]:
    """The chapter's forty points, y in hundredths."""
    x, y = spread.holed(0)
    return x, y.round(decimals=2)


def trained(p: float) -> nn.Module:
    """A network that was trained with dropout at rate p after both hidden layers."""
    x, y = data()  # which seeds PyTorch's generator, for the weights and masks that follow
    return spread.train(mlp(1, WIDTH, WIDTH, 1, p=p), x, y, STEPS, weight_decay=DECAY)


def literal(model: nn.Module) -> str:
    """The parameters in thousandths, in base64."""
    flat = torch.cat([w.detach().flatten() for w in model.parameters()])
    return b64encode((1000 * flat).round().numpy().astype("<i2").tobytes()).decode()


def main() -> None:
    print("const Y = [", *wrap(", ".join(f"{100 * y:.0f}" for y in data()[1].flatten()), 110), "];")
    for p in RATES:
        print(f'"{p}": `', *wrap(literal(trained(p)), 118), "`,", sep="\n")


if __name__ == "__main__":
    main()

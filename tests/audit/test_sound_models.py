"""An audit of a sound model finds nothing."""

import pytest
import torch

from dropout.audit import audit
from tests.audit.sound import SOUND
from tests.test_module_life import LIVES

pytestmark = pytest.mark.filterwarnings("ignore", "error:the check")


@pytest.mark.parametrize(("make", "give", "keywords"), SOUND.values(), ids=SOUND)
def test_a_sound_model_has_no_findings(make, give, keywords):
    torch.manual_seed(1)
    assert list(audit(make(), *give(), **keywords)) == []


@pytest.mark.parametrize(("make", "give"), LIVES.values(), ids=LIVES)
def test_the_layers_of_this_library_have_no_findings(make, give):
    assert list(audit(make(), give())) == []

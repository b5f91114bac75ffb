"""Hidden packages cannot be imported; afterwards they can."""

import json
import sys

import pytest

from kerasweep.fast_start import packages_hidden


def test_hidden_package_is_missing_only_while_hidden() -> None:
    sys.modules.pop("wave", None)
    with packages_hidden(("wave", "json")):
        with pytest.raises(ImportError):
            import wave
        import json as again
    assert again is json
    import wave

    assert wave.__name__ == "wave"


def test_packages_come_back_after_an_error() -> None:
    sys.modules.pop("wave", None)
    with pytest.raises(ValueError, match="no"), packages_hidden(("wave",)):
        raise ValueError("no")
    assert "wave" not in sys.modules

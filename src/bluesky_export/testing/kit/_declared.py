"""What a writer says of itself."""

from __future__ import annotations

import inspect
import re

from ...documents.features import FEATURES
from ...formats import options_of
from ._tested import Tested


class DeclarationTests:
    """The name, the help, the options and the declaration of a format."""

    def test_says_what_it_is(self, tested: Tested) -> None:
        """Name, suffix and summary are what the help, completion and the table of formats show."""
        writer = tested.writer
        assert re.fullmatch(r"[a-z][a-z0-9_.-]*", writer.name), (
            f"{writer.name!r} cannot be typed as a format"
        )
        assert writer.suffix == "" or re.fullmatch(r"\.\w[\w.-]*", writer.suffix), writer.suffix
        assert writer.summary, "no summary"
        assert "\n" not in writer.summary, "a summary is one line"

    def test_declares_every_feature(self, tested: Tested) -> None:
        """Each feature is exact, converted by a rule, or left out, and elsewhere."""
        declared = tested.writer.fidelity
        missing = [feature for feature in FEATURES if feature not in declared]
        assert not missing, f"fidelity does not declare {', '.join(missing)}"
        assert not declared.keys() - FEATURES.keys()
        for feature, one in declared.items():
            assert one.how in ("exact", "converted", "left out"), feature
            assert bool(one.rule) == (one.how != "exact"), f"{feature}: says not how, or where instead"

    def test_options_can_be_typed(self, tested: Tested) -> None:
        """Each option has a default, a help text, and a type that reads what is typed."""
        for option in options_of(tested.writer).values():
            assert option.default is not inspect.Parameter.empty, f"option {option.name} has no default"
            assert option.help, f"option {option.name} has no help: Annotated[type, 'help']"
            assert option.expects
            if isinstance(option.default, (bool, int, float)) or option.default:
                assert option.parse(str(option.default)) == option.default

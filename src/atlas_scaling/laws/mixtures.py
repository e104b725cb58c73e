"""What laws of the mixture share: one group of parameters a domain, domains from the data.

A domain is a language or a corpus that has a share ``h_i`` of the training tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from atlas_scaling.errors import InputError
from atlas_scaling.laws.base import DataFacts, Law


@dataclass(frozen=True)
class MixtureLaw(Law):
    """Base of laws that know every share of the mixture.

    Attributes:
        domains: the domains with a share, in the order of ``x.shares``; None lets the data decide.
    """

    domains: tuple[str, ...] | None = None

    zero_shot: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.domains is not None:
            object.__setattr__(self, "domains", tuple(self.domains))

    def adapted(self, facts: DataFacts) -> Law:
        """Take all domains of the data where none were chosen.

        Raises:
            InputError: the table says nothing of mixtures.
        """
        if self.domains is not None:
            return self
        if not facts.languages:
            raise InputError(
                f"the law {self.name} is of a mixture, and the table says nothing of mixtures",
                where="mixture",
                remedy="add a column mixture, or shares as columns w_<domain>",
            )
        return replace(self, domains=facts.languages)

    @property
    def known_domains(self) -> tuple[str, ...]:
        """The domains, none before the law has met data."""
        return self.domains or ()

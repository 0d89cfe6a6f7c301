"""Where documents come from: one file for each kind of source, and the visit that takes them in."""

from adapt.gather.gathering import Gathered, Refused, gather, gather_from

__all__ = ["Gathered", "Refused", "gather", "gather_from"]

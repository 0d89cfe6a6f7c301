"""Where documents come from: one file for each kind of source, and the visit that takes them in."""

from adapt.gather.folder import Gathered, Refused, files_of, gather, parse_api, read_document

__all__ = ["Gathered", "Refused", "files_of", "gather", "parse_api", "read_document"]

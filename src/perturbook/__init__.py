"""perturbook: how well can a model predict what a perturbation does to a cell it has not seen?

Data flows one way: `data -> splits -> models -> concepts / evaluation -> pages`; nothing imports upward.
"""

from importlib import metadata

__version__ = metadata.version("perturbook")

"""What happened when a checkpoint was loaded: nothing is dropped, renamed or missing in silence."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Report:
    """Where weights are from and what became of every key."""

    origin: str
    """The folder and file, or how the weights were made."""
    sha256: str = ""
    """Of the file of weights; empty where there is none."""
    verified: str = "unverified"
    """"the released whole-human checkpoint", "equal to the given sha256", or "unverified"."""
    layout: str = ""
    """How the file names attention, and other changes of names that were undone."""
    dtype: str = ""
    """Precision of the numbers in the file; they are computed with as float32."""
    loaded: tuple[str, ...] = ()
    """Names of the parameters that the file filled: all of the model's."""
    unused: dict[str, str] = field(default_factory=dict)
    """Keys of the file that the model does not use, each with the reason."""
    absent: dict[str, str] = field(default_factory=dict)
    """Optional parts that the file does not have, each with what is not possible without it."""
    appended: tuple[str, ...] = ()
    """Special tokens that vocab.json lacked and that were appended."""

    def __str__(self) -> str:
        lines = [self.origin, f"weights: {self.verified}, sha256 {self.sha256 or 'none'}"]
        if self.layout:
            lines.append(f"{len(self.loaded)} parameters loaded, {self.layout}, {self.dtype}")
        lines += [f"not used: {key} ({why})" for key, why in self.unused.items()]
        lines += [f"not in the file: {part} ({what})" for part, what in self.absent.items()]
        if self.appended:
            lines.append(f"appended to the vocabulary: {', '.join(self.appended)}")
        return "\n".join(lines)

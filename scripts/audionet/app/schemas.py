"""The JSON objects of the HTTP interface."""

from typing import Any

from pydantic import BaseModel, Field


class SpanOfSound(BaseModel):
    """A stretch of the recording with one answer."""

    start_seconds: float
    end_seconds: float
    kind: str = Field(description="`known`, `unknown` or `silence`.")
    label: str = Field(description="The label, `unknown`, or nothing for silence.")
    nearest: str = Field(description="The likeliest label, known or not.")
    probability: float | None = Field(description="Of the nearest label.")
    score: float | None


class Prediction(BaseModel):
    """What the classifier says of a file."""

    label: str = Field(description="The likeliest label, or `unknown`.")
    nearest: str = Field(description="The likeliest label, known or not.")
    probability: float = Field(description="Of the likeliest label, 0 to 1.")
    labels: dict[str, float] = Field(description="Probability by label, the likeliest first.")
    known: bool = Field(description="Whether it may be of one of the labels at all.")
    score: float | None = Field(description="How much likelier it is of its nearest label than of anybody.")
    threshold: float | None = Field(description="What the score must reach to be known.")
    left_out: list[str] = Field(
        [], description="Networks that could not take the file, such as those that listen, where it is a picture."
    )
    kind: str = Field(description="`recording` or `picture`.")
    seconds: float | None = Field(description="Length of the recording.")
    file: str = Field(description="The name that the file was sent under.")
    loudness: list[float] | None = Field(None, description="With `look`: the highest sample of each moment, 0 to 1.")
    spectrogram: str | None = Field(None, description="With `look`: a picture of the sound, as a data URL.")
    picture: str | None = Field(None, description="With `look`: the picture itself, as a data URL.")
    spans: list[SpanOfSound] | None = Field(None, description="With `look`: who or what is heard when.")
    hertz: dict[int, float] | None = Field(
        None, description="With `look`: how high some frequencies are in `spectrogram`, 0 at the bottom to 1."
    )
    tables: dict[str, str] | None = Field(
        None, description="With `look`: `spans` as `csv`, `audacity`, `raven`, `rttm` and `srt` files hold them."
    )


class Progress(BaseModel):
    """How far the work on a request is."""

    share: float | None = Field(description="How much is done, 0 to 1; nothing as long as it waits for its turn.")
    waiting: int = Field(description="Requests in line or at work.")


class LiveAnswer(BaseModel):
    """What is heard at the end of a stream."""

    label: str = Field(description="The label, `unknown`, or nothing for silence.")
    nearest: str = Field(description="The likeliest label of this window, known or not; nothing for silence.")
    probability: float = Field(description="Of the nearest label; 0 for silence.")
    seconds: float = Field(description="Length of the window that the classifier looks at.")
    score: float | None = Field(None, description="Of one label alone: how usual the sound is.")


class Reason(BaseModel):
    """Which part of a file speaks for its answer."""

    label: str = Field(description="The likeliest label, which is explained.")
    probability: float = Field(description="Of this label, in the part that is explained.")
    sentence: str = Field(description="Where the most telling part is: seconds and hertz, or shares of the picture.")
    picture: str = Field(description="The picture, with what speaks for the label over it, as a data URL.")


class Health(BaseModel):
    """Whether the page is at work."""

    status: str = Field(description="`ok`, or `no model` as long as there is no classifier.")
    model: str = Field(description="The classifier in use.")
    labels: list[str]
    networks: list[str] = Field(description="Its networks, which answer together.")
    waiting: int = Field(description="Requests in line or at work.")


class ListedModel(BaseModel):
    """A classifier that the visitor may choose."""

    key: str = Field(description="What identifies it in forms.")
    name: str
    labels: list[str]
    networks: list[str] = Field(description="Its networks, which answer together.")
    mine: bool = Field(description="Whether the visitor trained it, so that it can be renamed, downloaded and removed.")
    in_use: bool


class Problem(BaseModel):
    """Why a request was not met."""

    detail: str = Field(description="What was expected, what was received and what to do, in a sentence.")


class Taught(BaseModel):
    """Clips by label, and the training that runs or ran."""

    labels: dict[str, list[str]]
    lesson: dict[str, Any] | None

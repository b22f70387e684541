"""What a model hears when it hears no samples: a spectrum, said in words that hold for any.

Keyword spotters, sound event models, voices' fingerprints and most speech models take a picture of the last second or so: rows for moments,
columns for bands. The programs that trained them agree on the steps and on none of the numbers, so each step is an option, and `like`
sets all of them as a known program has them. Each was held against that program's own arithmetic (tests/roles/test_spectrum.py).

Decided against: the programs themselves (librosa, torchaudio, each half a gigabyte and only its own way); noise added against silence
(Kaldi's dither, which models do not need to be played); presets that are applied without a word, since a deployment says all of it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mesh.role import Options

Like = Literal[
    "librosa", "librosa_db", "librosa_mfcc", "torchaudio", "torchaudio_db", "torchaudio_mfcc", "kaldi", "kaldi_mfcc", "icefall",
    "wespeaker", "funasr", "speechbrain", "nemo", "whisper", "seamless", "ast", "clap", "yamnet", "vggish", "panns",
    "resemblyzer", "musicnn", "speech_commands", "tiny_kws", "tensorflow", "psf", "psf_mfcc",
]  # fmt: skip
EPSILON = 1.1920928955078125e-07  # of float32, Kaldi's floor
KALDI: dict[str, Any] = {
    "moment_ms": 25.0, "step_ms": 10.0, "bands": 80, "low": 20.0, "slopes": "mel", "shape": "povey", "symmetric": True, "steady": True,
    "emphasis": 0.97, "log": "ln", "floor": EPSILON,
}  # fmt: skip
LIBROSA: dict[str, Any] = {"fft": 2048, "step": 512, "bands": 128, "scale": "slaney", "even": True, "edges": "zeros", "order": "bands"}
TORCHAUDIO: dict[str, Any] = {"fft": 400, "step": 200, "bands": 128, "edges": "reflect", "order": "bands"}
AUDIO_SET: dict[str, Any] = {"moment_ms": 25.0, "step_ms": 10.0, "bands": 64, "low": 125.0, "high": 7500.0, "power": 1.0, "slopes": "mel",
                             "log": "ln"}  # fmt: skip
COMMANDS: dict[str, Any] = {"moment_ms": 30.0, "step_ms": 20.0, "bands": 40, "low": 20.0, "high": 4000.0, "power": 1.0, "slopes": "mel",
                            "log": "ln", "cosines": "even"}  # fmt: skip
PSF: dict[str, Any] = {"moment_ms": 25.0, "step_ms": 10.0, "fft": 512, "bands": 26, "slopes": "lines", "shape": "none", "edges": "end",
                       "emphasis": 0.97, "emphasis_of": "sound", "gain": 1 / 512, "log": "ln", "floor": 2.220446049250313e-16}  # fmt: skip
STATISTICS = "am.mvn"  # FunASR's file of them
LIKE: dict[str, dict[str, Any]] = {
    "librosa": LIBROSA,
    "librosa_db": {**LIBROSA, "log": "db", "range": 80.0, "loudest": True},
    "librosa_mfcc": {**LIBROSA, "log": "db", "range": 80.0, "cepstrum": 20},
    "torchaudio": TORCHAUDIO,
    "torchaudio_db": {**TORCHAUDIO, "log": "db"},
    "torchaudio_mfcc": {**TORCHAUDIO, "log": "db", "range": 80.0, "cepstrum": 40},
    "kaldi": KALDI,
    "kaldi_mfcc": {**KALDI, "bands": 23, "cepstrum": 13, "lifter": 22.0},
    "icefall": {**KALDI, "high": -400.0, "edges": "mirror"},
    "wespeaker": {**KALDI, "shape": "hamming", "full": 32768.0, "normalise": "mean"},
    "funasr": {**KALDI, "shape": "hamming", "full": 32768.0, "stack": 7, "stack_step": 6, "stack_centre": True},
    "speechbrain": {"fft": 400, "step": 160, "bands": 80, "slopes": "alike", "shape": "hamming", "edges": "zeros", "log": "db",
                    "range": 80.0, "normalise": "mean"},
    "nemo": {"moment": 400, "step": 160, "fft": 512, "bands": 80, "scale": "slaney", "even": True, "symmetric": True, "edges": "zeros",
             "emphasis": 0.97, "emphasis_of": "sound", "log": "ln", "add": 2.0**-24, "leave_last": True, "normalise": "bands",
             "order": "bands"},
    "whisper": {"fft": 400, "step": 160, "bands": 80, "scale": "slaney", "even": True, "high": 8000.0, "edges": "reflect", "log": "log10",
                "range": 8.0, "leave_last": True, "mean": -4.0, "std": 4.0, "order": "bands", "fill": "silence"},
    "seamless": {**KALDI, "full": 32768.0, "normalise": "bands", "stack": 2, "stack_step": 2},
    "ast": {**KALDI, "bands": 128, "shape": "hann", "mean": -4.2677393, "std": 9.1379948, "fill": 0.0},
    "clap": {"rate": 48000, "fft": 1024, "step": 480, "bands": 64, "high": 14000.0, "scale": "slaney", "even": True,
             "edges": "reflect", "log": "db"},
    "yamnet": {**AUDIO_SET, "add": 0.001},
    "vggish": {**AUDIO_SET, "add": 0.01},
    "panns": {"rate": 32000, "fft": 1024, "step": 320, "bands": 64, "low": 50.0, "high": 14000.0, "scale": "slaney", "even": True,
              "edges": "reflect", "log": "db"},
    "resemblyzer": {**LIBROSA, "fft": 400, "step": 160, "bands": 40, "order": "moments"},
    "musicnn": {**LIBROSA, "fft": 512, "step": 256, "bands": 96, "after": 10000.0, "add": 1.0, "log": "log10", "order": "moments"},
    "speech_commands": {**COMMANDS, "floor": 1e-12, "lines_from": 2, "cepstrum": 40},
    "tiny_kws": {**COMMANDS, "add": 1e-6, "cepstrum": 10},
    "tensorflow": {"moment": 255, "step": 128, "fft": 256, "bands": 0, "power": 1.0, "symmetric": True},
    "psf": PSF,
    "psf_mfcc": {**PSF, "cepstrum": 13, "lifter": 22.0, "energy": True},
}  # fmt: skip
RATES = {"librosa": 22050, "librosa_db": 22050, "librosa_mfcc": 22050}


class Spectrum(Options):
    """How a stretch of sound becomes what the model sees, step by step. Lengths are in samples of option `rate`."""

    like: Like | None = Field(
        None,
        description="sets all of these as that program has them, what is written beside it goes before; psf: python_speech_features, "
        "tiny_kws: MLPerf Tiny, speech_commands and tensorflow: TensorFlow's examples",
    )
    rate: int | None = Field(None, ge=1000, le=384000, description="samples a second; the role's option rate when that is written")
    full: float = Field(1.0, gt=0, description="what the loudest sample counts: 1, or 32768 for programs that hear whole numbers (Kaldi)")
    # moments
    moment: int | None = Field(None, ge=8, le=1 << 16, description="samples of one moment (win_length); fft when left out")
    moment_ms: float | None = Field(None, gt=0, le=4000, description="the same in milliseconds")
    step: int | None = Field(None, ge=1, le=1 << 16, description="samples from one moment to the next (hop_length)")
    step_ms: float | None = Field(None, gt=0, le=4000, description="the same in milliseconds; 10 when both are left out")
    fft: int | None = Field(None, ge=8, le=1 << 16, description="points of the transform (n_fft); the next power of 2 when left out")
    edges: Literal["none", "zeros", "reflect", "mirror", "end"] = Field(
        "none",
        description="none: whole moments only; zeros, reflect: moments are about their place, the ends so padded (center: true); mirror: "
        "Kaldi's without snip_edges; end: zeros after the sound, so that all of it is heard",
    )
    leave_last: bool = Field(False, description="the last moment is left out (Whisper, NeMo)")
    steady: bool = Field(False, description="each moment less its mean (remove_dc_offset)")
    emphasis: float = Field(0.0, ge=0, le=1, description="pre-emphasis, such as 0.97")
    emphasis_of: Literal["moment", "sound"] = Field("moment", description="whether each moment begins it anew (Kaldi) or only the window")
    shape: Literal["hann", "hamming", "povey", "blackman", "none"] = Field("hann", description="how a moment fades in and out (window)")
    symmetric: bool = Field(False, description="its ends are alike (NumPy, Kaldi), in place of periodic (librosa, PyTorch, SciPy)")
    power: float = Field(2.0, gt=0, le=4, description="2: squares; 1: magnitudes")
    gain: float = Field(1.0, gt=0, description="what the transform's lines are multiplied by after that, such as 1 / fft")
    # bands
    bands: int = Field(64, ge=0, le=2048, description="bands (n_mels); 0: the transform's own lines")
    low: float = Field(0.0, ge=0, description="Hz at which the bands begin (fmin)")
    high: float | None = Field(None, description="Hz at which they end (fmax); 0 or less: below half the rate; half the rate when left out")
    scale: Literal["htk", "slaney"] = Field("htk", description="which formula for how high a tone sounds (librosa: slaney)")
    even: bool = Field(False, description="wide bands are made as loud as narrow ones (norm: slaney)")
    slopes: Literal["hz", "mel", "lines", "alike"] = Field(
        "hz",
        description="a band's slopes are straight in hz (librosa, torchaudio), in mel (Kaldi, TensorFlow), between whole lines "
        "(python_speech_features), or alike on both sides (SpeechBrain)",
    )
    lines_from: int = Field(0, ge=0, le=1 << 15, description="lines of the transform below this one are not heard")
    # loudness
    after: float = Field(1.0, gt=0, description="what is in the bands is multiplied by this before the logarithm")
    log: Literal["none", "ln", "log2", "log10", "db"] = Field("none", description="logarithm of that; db: 10 (power: 1: 20) times log10")
    floor: float = Field(1e-10, ge=0, description="what is quieter counts as this, before the logarithm")
    add: float = Field(0.0, ge=0, description="added before the logarithm, in place of a floor")
    range: float | None = Field(None, gt=0, description="after it: what lies further below the loudest is lifted to there (top_db)")
    loudest: bool = Field(False, description="after it: less the loudest (ref: max)")
    cepstrum: int = Field(0, ge=0, le=512, description="so many coefficients of the bands' cosines in place of the bands (MFCC)")
    cosines: Literal["ortho", "even"] = Field("ortho", description="cepstrum: even: the first is not made smaller (TensorFlow)")
    skip: int = Field(0, ge=0, le=64, description="cepstrum: coefficients left out at the beginning; 1 leaves out how loud it is")
    lifter: float = Field(0.0, ge=0, description="cepstrum: liftering, such as 22")
    energy: bool = Field(False, description="cepstrum: the first coefficient is the logarithm of the moment's energy")
    deltas: int = Field(
        0, ge=0, le=2, description="beside each number how fast it changes (1), and how fast that does (2), over deltas_reach moments"
    )
    deltas_reach: int = Field(2, ge=1, le=16, description="deltas: moments to each side (Kaldi, torchaudio, python_speech_features: 2)")
    # numbers
    normalise: Literal["none", "mean", "bands", "bands_whole", "all", "range"] = Field(
        "none",
        description="over the window: mean: each band less its mean; bands: and by its deviation (bands_whole: NumPy's, of all moments, in "
        "place of all but one); all: all numbers together; range: to 0..1",
    )
    mean: float | list[float] = Field(0.0, description="subtracted after all that; one number, or one for each band")
    std: float | list[float] = Field(1.0, description="divided by after that; one number, or one for each band")
    statistics: str | None = Field(
        None, description="a file of the folder with both for each band, such as FunASR's am.mvn; from the model when left out"
    )
    stack: int = Field(1, ge=1, le=64, description="so many moments after each other become one (LFR)")
    stack_step: int | None = Field(None, ge=1, le=64, description="stack: moments from one to the next; as many as stack when left out")
    stack_centre: bool = Field(False, description="stack: each is about its place, the ends repeated (FunASR)")
    order: Literal["moments", "bands"] | None = Field(
        None, description="which side of the model's input comes first, where its shape leaves a doubt; moments when left out"
    )
    keep: Literal["first", "last"] = Field("first", description="of more moments than the model takes, which are kept")
    fill: float | Literal["silence"] | None = Field(
        None, description="what stands after a window shorter than the model's: silence, or moments of this number; refused when left out"
    )


def told(asked: Spectrum | str | None) -> Spectrum | None:
    """With all that `like` sets; a name alone is `like`."""
    if asked is None:
        return None
    own = {"like": asked} if isinstance(asked, str) else {name: getattr(asked, name) for name in asked.model_fields_set}
    if not own.get("like"):
        return Spectrum(**own)
    like = {"rate": RATES.get(own["like"], 16000), **LIKE[own["like"]]}
    for name in ("moment", "step"):  # the same length in two units
        if name in own or f"{name}_ms" in own:
            like = {key: value for key, value in like.items() if key not in (name, f"{name}_ms")}
    return Spectrum(**{**like, **own})

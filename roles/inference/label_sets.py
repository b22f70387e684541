"""The names of the classes of the data that most public models were trained on: `labels: coco` in place of eighty words.

Lists of names are facts about data sets: COCO (80 classes in the order of detectors that count them anew; `coco91` in that of its own
numbers, with gaps), Pascal VOC with its ground, MediaPipe's selfie classes.
"""

from __future__ import annotations

COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking meter, bench,
bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant,
bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book,
clock, vase, scissors, teddy bear, hair drier, toothbrush
"""
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers of COCO that no class has
VOC = """
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table, dog, horse, motorbike, person, potted plant,
sheep, sofa, train, tv
"""
SELFIE = "background, hair, body skin, face skin, clothes, others"


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _with_gaps() -> list[str]:
    """By COCO's own numbers, from 0 (which is nothing) to 90."""
    names = iter(_words(COCO))
    return ["nothing", *("unused" if number in COCO_GAPS else next(names) for number in range(1, 91))]


SETS = {"coco": _words(COCO), "coco91": _with_gaps(), "voc": _words(VOC), "selfie": _words(SELFIE)}

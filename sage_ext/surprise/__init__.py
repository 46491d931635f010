"""Surprise, and coherence: how possible the mind holds what it perceives.

==================  =================================================================================================
:mod:`.forecast`    foretells, from frozen contexts, what should come after 1, 2, 4 and 8 looks
:mod:`.judge`       compares what came with it, look by look and group by group, and weighs the evidence
:mod:`.calibration` turns surprise into coherence, and tells how good coherence is
:mod:`.readout`     learns the weights of evidence from dreams
:mod:`.scenes`      all that for scenes as a mind sensed them
:mod:`.stream`      the same online, as an anomaly detector
:mod:`.geometry`    GeoPhys, a baseline without prediction
==================  =================================================================================================
"""

from .judge import Judge, Surprise
from .scenes import assess, calibrate, surprise
from .stream import Now, SurpriseStream

__all__ = ["Judge", "Now", "Surprise", "SurpriseStream", "assess", "calibrate", "surprise"]

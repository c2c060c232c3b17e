"""What the canary is given of a caller's time."""

import asyncio
import time

import httpx
import numpy as np
import pytest

from fraud.model.canary import Share
from services.predictor.canary import Canary
from services.predictor.settings import PredictorSettings
from tests.deployed import FEATURES_VERSION


@pytest.mark.parametrize(
    ("patience", "wait_s"), [("0.1", 0.05), ("60", 1.0), (None, 1.0), ("soon", 1.0), ("-1", 1.0)]
)
def test_it_gets_half_of_the_callers_time_and_no_more_than_its_own(patience, wait_s):
    waits = []

    def answer(request):
        waits.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("slow", request=request)

    canary = Canary(
        PredictorSettings(canary_url="http://canary"), FEATURES_VERSION, httpx.MockTransport(answer)
    )
    canary.share = Share("7", 100.0, time.time() + 60.0)
    assert asyncio.run(canary.score(np.zeros((1, 88)), None, patience)) is None, "the champion answers"
    assert waits == [wait_s]

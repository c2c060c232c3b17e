"""The experiment that is running: its definition, and the challenger."""

import logging

from fraud.decide.experiment import Experiment, ExperimentFile
from fraud.errors import Unavailable
from fraud.features.kernel import Floats
from services.scoring.models import Model, Prediction

log = logging.getLogger(__name__)


class RunningExperiment:
    """One definition and its challenger, which is loaded once there is a definition.

    Parameters
    ----------
    file
        The definition and its stop record.
    challenger
        Gives the other score.
    """

    def __init__(self, file: ExperimentFile, challenger: Model) -> None:
        self.file, self.challenger = file, challenger
        self._is_following = False
        self._was_away = False

    def look(self) -> None:
        """Take in what has changed, and begin to follow the challenger when there is something to ask it."""
        self.file.look()
        if self.file.experiment is not None and not self._is_following:
            self._is_following = True
            self.challenger.start()

    def stop(self) -> None:
        """End."""
        if self._is_following:
            self.challenger.stop()

    def running(self) -> Experiment | None:
        """Tell the experiment that is under way."""
        return self.file.running()

    def ask(self, vector: Floats) -> Prediction | None:
        """Ask the challenger; None if it is unavailable, which is logged once."""
        try:
            prediction = self.challenger.judge(vector)
        except Unavailable as error:
            if not self._was_away:
                log.warning("the challenger is unavailable; the champion decides its arm: %s", error)
            self._was_away = True
            return None
        self._was_away = False
        return prediction

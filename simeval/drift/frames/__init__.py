"""The frames on which drift is measured: of a run, replayed, or of a LeRobotDataset."""

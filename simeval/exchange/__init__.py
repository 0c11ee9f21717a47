"""Results that leave for other tools, and results of others: tables, LeRobotDatasets, `simeval import`."""

"""Checks for user-defined parts, each a complete test.

import my_axes
from simeval.testing import check_perturbation
check_perturbation("my.axis")

from my_policy import make
from simeval.testing import check_policy
check_policy(make())

import my_suite
from simeval.testing import check_env
check_env("my_suite")
"""

from simeval.testing.envs import check_env as check_env
from simeval.testing.perturbations import check_perturbation as check_perturbation
from simeval.testing.perturbations import model_fields as model_fields
from simeval.testing.perturbations import values as values
from simeval.testing.policies import check_policy as check_policy

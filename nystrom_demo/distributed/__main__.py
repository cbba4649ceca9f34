"""`python -m nystrom_demo.distributed`."""

from nystrom_demo.distributed.trial import main  # the processes import their function from there

main()

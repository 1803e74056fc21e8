"""How mlserve gets to AWS: the package, the stages, the deploy, its checks. No part of the program."""

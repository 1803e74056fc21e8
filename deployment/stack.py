"""The CloudFormation stack of the web function's API, which Zappa makes: waited for, and deleted where it is stuck."""

from deployment.account import Absent, Account
from deployment.steps import DeploymentFailed, eventually, say

# A stack in one of these states cannot be updated, only deleted.
_STUCK = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
_SECONDS = 300.0


def mend_stack(account: Account, name: str) -> None:
    """Delete a stuck stack, so that it can be made again."""
    if (status := _settled(account, name)) in _STUCK:
        say(f"The stack {name} is stuck in {status}; it is deleted and made again.")
        delete_stack(account, name)


def delete_stack(account: Account, name: str) -> bool:
    """Whether there was one. A stack that Zappa did not make is not touched."""
    try:
        stack = account.ask("cloudformation", "describe_stacks", StackName=name)["Stacks"][0]
    except Absent:
        return False
    if {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}.get("ZappaProject") != name:
        raise DeploymentFailed(f"The stack {name} was not made by this deployment: rename it, or project_name.")
    account.ask("cloudformation", "delete_stack", StackName=name)
    if (status := _settled(account, name)) != "":
        raise DeploymentFailed(f"The stack {name} could not be deleted; it is {status}.")
    return True


def _settled(account: Account, name: str) -> str:
    """Its status once nothing is in progress, "" when there is none."""
    status = eventually(lambda: _status_at_rest(account, name), seconds=_SECONDS)
    if status is None:
        raise DeploymentFailed(f"The stack {name} is still busy after {_SECONDS:.0f} s; try again later.")
    return status


def _status_at_rest(account: Account, name: str) -> str | None:
    try:
        status = str(account.ask("cloudformation", "describe_stacks", StackName=name)["Stacks"][0]["StackStatus"])
    except Absent:
        return ""
    if status == "DELETE_COMPLETE":
        return ""
    return None if status.endswith("_IN_PROGRESS") else status

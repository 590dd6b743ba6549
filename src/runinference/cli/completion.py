"""`runinference completion`: prints what a shell needs to complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  runinference completion bash > ~/.local/share/bash-completion/completions/runinference
    zsh:   eval "$(runinference completion zsh)"      (in ~/.zshrc)
    fish:  runinference completion fish > ~/.config/fish/completions/runinference.fish
    """
    script = get_completion_class(shell)
    assert script is not None
    root = context.find_root()
    click.echo(script(root.command, {}, "runinference", "_RUNINFERENCE_COMPLETE").source())

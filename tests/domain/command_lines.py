"""Command lines that run `rm`, each hidden in another way, and lines that do not."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

RUNNING = (
    *("rm x", "true; rm x", "true && rm x", "false || rm x", "true | rm x", "rm x & wait"),
    *("true\nrm x", "# a comment\nrm x", "\n\n  rm\tx", "(rm x)", "{ rm x; }", "((1)); rm x"),
    *("if true; then rm x; fi", "if false; then :; else rm x; fi", "if rm x; then :; fi"),
    *("if false; then :; elif rm x; then :; fi", "for f in x; do rm $f; done"),
    *("for ((i = 0; i < 1; i++)); do rm x; done", "while true; do rm x; break; done"),
    *("until rm x; do :; done", "case x in x) rm x;; esac", "case x in (y|x) rm x;; esac"),
    *("! rm x", "time rm x", "time -p rm x", "time { rm x; }", "coproc rm x; wait"),
    *("coproc A { rm x; }; wait", "FOO=1 rm x", "FOO= BAR=2 rm x", "a[0]=1 rm x"),
    *(">f rm x", "2>&1 rm x", ">f 2>g rm x", "<<<x rm x", "rm >f x", "{ fd=1; } >f; rm x"),
    *(r"\rm x", r"r\m x", '"rm" x', "'rm' x", 'r"m" x', "r''m x", "$'rm' x", r"$'\x72m' x"),
    *("true\n\\\n rm x", "true\n \\\n rm x", "true;\n\\\nrm x", "if \\\n rm x; then :; fi"),
    *("true\n \\\n\\\n rm x", "true\n \\\n\\\n\\\nrm x", "r\\\n\\\nm x", "r\\m\\\n x"),
    *("r\\\nm x", "rm\\\n x", "true;\\\nrm x", "{rm,x}", "r{m,} x", "$(echo rm) x"),
    *("`echo rm` x", "a=rm; $a x", 'a=rm; "$a" x', "a=rm; ${a} x", "echo $(rm x)"),
    *('echo "$(rm x)"', "echo `rm x`", "a=$(rm x)", "export A=$(rm x)", "cat <(rm x)"),
    *("echo ${a:-$(rm x)}", 'echo "${a:-`rm x`}"', "echo $((1 + $(rm x)0))", "a=($(rm x))"),
    *("cat <<E\n$(rm x)\nE", "cat <<E\n`rm x`\nE", "cat <<'E'\n$(true)\nE\nrm x"),
    *("cat <<E | rm x\na\nE", "cat <<E && rm x\na\nE", "cat <<-E\n\ta\n\tE\nrm x"),
    *("cat <<E\na \\\nE\n'\nE\nrm x\n: '", "cat <<A <<B\nA\nB\nrm x", "cat <<E\nE \nE\nrm x"),
    *("exec rm x", "exec -a name rm x", "eval rm x", "eval 'rm x'", "command rm x"),
    *("builtin command rm x", "trap 'rm x' EXIT", "trap -- 'rm x' EXIT", "f() { rm x; }; f"),
    *("function f { rm x; }; f", "f() (rm x); f", "[[ -n x ]] && rm x", "[ -n x ] && rm x"),
    *("a='x[$(rm x)]'; [[ -v $a ]]", "test -v 'a[$(rm x)]'", "printf -v 'a[$(rm x)]' 1"),
    *("declare -i 'a=b[$(rm x)]'", "shopt -s expand_aliases\nalias q='rm x'\nq"),
    *("set -x; PS4='$(rm x)' ls", "PS4='$(r''m x)'; set -x; ls", "builtin eval 'rm x'"),
    *("shopt -s expand_aliases\nBASH_ALIASES[q]='rm x'\nq", "BASH_CMDS[q]=$(command -v rm); q x"),
    *('hash -p "$(command -v rm)" q; q x', "command -p env -S'rm x'", "exec env -S 'rm x'"),
    *("trap 'rm x' DEBUG; ls", "trap $'rm x' EXIT", 'f() { "$@"; }; f rm x', "eval $'\\x72m x'"),
    *("let 'a=b[$(rm x)]'", "echo $((a[$(rm x)0]))", "printf -v c 'r%s' m; $c x", "[[ $(rm x) ]]"),
    *("mapfile -C 'rm x #' -c 1 <<<y", 'set -- rm x; "$@"', "source <(echo rm x)"),
    *("source /dev/stdin <<<'rm x'", "echo rm x >f; . ./f", "env rm x", "env A=1 rm x"),
    *("nohup rm x", "nice -n 1 rm x", "timeout 5 rm x", "echo x | xargs rm"),
    *("echo rm x | xargs -I% bash -c %", "echo rm | xargs env", "find . -exec rm {} +"),
    *("bash -c 'rm x'", 'bash -o pipefail -c "rm x"', "bash -ec 'true; rm x'"),
    *("echo rm x | bash", "bash <<<'rm x'", "bash <<E\nrm x\nE", "bash -s <<<'rm x'"),
    *("sh -c \"sh -c 'rm x'\"", "env bash -c 'env rm x'", "echo 'a;b' \"c|d\"; rm x # e"),
    *("echo a#b; rm x", "echo \\#; rm x", "echo $#; rm x", 'echo "it\'s"; rm x'),
    *("echo 'a\\'; rm x", 'echo "a\\"b"; rm x', "cat /dev/null >f && rm -r x"),
)
"""All of them run `rm` in bash."""

RUNNING_ELSEWHERE = (
    *("/bin/rm x", "../bin/rm x", "sudo rm x", "sudo -u root rm x", "sudo env bash -c 'rm x'"),
    *("setsid rm x", "stdbuf -o0 rm x", "chroot / rm x", "flock f rm x", "flock f -c 'rm x'"),
    *("su -c 'rm x'", "watch 'rm x'", "busybox rm x", "find . -exec env rm {} \\;"),
    *("find . -name a -ok rm {} \\;", "unshare -r rm x", "systemd-run rm x", "env -S 'rm x'"),
)
"""These run `rm` where the program in them exists, or the system has another `rm`."""

HARMLESS = (
    *("ls", "git rm x", "echo rm x", "git commit -m 'rm x; rm y'", 'echo "a; rm x"', "echo 'rm x'"),
    *("ls rm", "cat rm | head", "grep -rn rm . | sort >f 2>&1", "rmdir x", "xrm x", "ls # rm x"),
    *("if true; then ls; fi", "for f in a b; do echo $f; done", "case rm in rm) ls;; esac"),
    *('x=$(ls); echo "$x"', "cd a && make -j4 && ./run --x=rm", "cat <<'E'\nrm x\nE", "a=rm; ls"),
    *("git commit -m \"$(cat <<'E'\nfix: it's `rm x`\nE\n)\"", "find . -name '*.py' -exec ls {} +"),
    *('find "$dir" -name x', "ls | xargs grep -l x", "env A=1 ls", "timeout 5 ls $x", "bash x.sh"),
    *("python3 -c 'print(1); rm = 2'", "awk '{print $(NF-1)}' x", "sed -n '1,3p' x | tail -1"),
    *(
        "docker run \\\n  -v a:b \\\n  image",
        "bash -c 'ls; pwd'",
        "eval 'ls'",
        "[[ a == a ]] && ls",
    ),
    *("echo $((1 + 2))", "ls -la 2>/dev/null", "printf '%s\\n' rm", "sort <(ls) <(ls -a)"),
)
"""Lines to which a rule for `rm` must not apply."""


class MarkingBash:
    """Runs command lines in bash, with an `rm` that only leaves a mark."""

    def __init__(self, directory: Path) -> None:
        self._mark = directory / "mark"
        self._workspace = directory / "workspace"
        self._programs = directory / "programs"
        self._workspace.mkdir()
        self._programs.mkdir()
        program = self._programs / "rm"
        program.write_text(f'#!/bin/sh\n: >"{self._mark}"\n')
        program.chmod(0o755)

    def runs_rm(self, line: str, *, seconds: float = 30) -> bool:
        """Whether bash runs `rm` for this command line."""
        (self._workspace / "x").touch()
        shell = subprocess.Popen(
            ["/bin/bash", "-c", line],
            cwd=self._workspace,
            env={"PATH": f"{self._programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)  # also what runs in the background
        shell.wait()
        was_run = self._mark.exists()
        self._mark.unlink(missing_ok=True)
        return was_run

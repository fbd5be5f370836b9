//! Git trees in a workspace, through the host's `git` (Specification 4.4).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ave_profile::{Refusal, Value};

use super::erase;
use super::files::failed;
use super::paths::Ground;
use super::tools::{Finished, Run, Tools, run_error, timeout};
use super::work::FileWork;

/// No prompts, no transports that run programs of the source's choice, messages as this file reads them.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh"),
    ("GIT_AUTHOR_NAME", "AVE"),
    ("GIT_AUTHOR_EMAIL", "ave@localhost"),
    ("GIT_COMMITTER_NAME", "AVE"),
    ("GIT_COMMITTER_EMAIL", "ave@localhost"),
    ("LC_ALL", "C"),
];

/// What a tree brings along is not run: neither its hooks nor what its submodules name. And nothing tidies up
/// in the background of a tree that may be deleted at any time.
const OPTIONS: [&str; 4] =
    ["core.hooksPath=/dev/null", "gc.auto=0", "submodule.recurse=false", "diff.ignoreSubmodules=all"];

/// What git and `clone` write into a tree's configuration, and names a script may want to set. All else could
/// name a program for git to run.
const CONFIGURATION: [(&str, &[&str]); 6] = [
    (
        "core",
        &[
            "repositoryformatversion",
            "filemode",
            "bare",
            "logallrefupdates",
            "ignorecase",
            "precomposeunicode",
            "symlinks",
        ],
    ),
    ("branch", &["merge", "rebase", "remote"]),
    ("extensions", &["objectformat", "refstorage"]),
    ("remote", &["fetch", "tagopt", "url"]),
    ("submodule", &["active", "url"]),
    ("user", &["email", "name"]),
];

/// What `download_git` is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Any repository `git` can reach.
    pub(super) src: String,
    /// A branch, a tag or a commit id.
    pub(super) refspec: String,
    /// Where to; by default `git/<base name of src>`.
    pub(super) dst: Option<String>,
    /// The time all steps share.
    pub(super) limit: Option<Duration>,
    /// How many commits a clone takes; not positive for all.
    pub(super) depth: i64,
}

/// Gets a tree and checks the wanted revision out. Doing it again is safe and brings a branch up to date.
///
/// # Errors
/// Plain ones for wrong arguments, `RunError` for what git refuses, `Timeout` after the limit.
pub(super) async fn download(work: &FileWork, tools: &mut Tools, wanted: Wanted) -> Result<PathBuf, Refusal> {
    let Wanted { src, refspec, dst, limit, depth } = wanted;
    let base = src.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let dst = dst.unwrap_or_else(|| format!("git/{base}"));
    if src.is_empty() || refspec.is_empty() || dst.is_empty() {
        return Err(Refusal::exception("must specify src, dst and refspec"));
    }
    // Else they would be options.
    if let Some(word) = [&src, &refspec].into_iter().find(|word| word.starts_with('-')) {
        return Err(Refusal::exception(format!("src and refspec cannot start with a dash: {word}")));
    }
    let destination = dst.clone();
    let (tree, empty) = work.run(move |ground, _| prepare(ground, &destination)).await?;
    let call = format!("download_git({src}, {refspec}, {dst})");
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut git = Git { tools, root: work.ground().root(), tree: tree.clone(), deadline, call };
    if empty && let Err(refusal) = git.clone(&src, depth).await {
        work.run(move |ground, _| clear(ground, &tree)).await?;
        return Err(refusal);
    }
    if !empty {
        git.is_harmless().await?;
    }
    git.bring(&src, &refspec).await?;
    Ok(tree)
}

/// `git init` with one empty commit, so that there is something to check out.
///
/// # Errors
/// `can not create git outside workspace`; `RunError` for what git refuses.
pub(super) async fn make(work: &FileWork, tools: &mut Tools, path: &str) -> Result<PathBuf, Refusal> {
    let tree = work
        .ground()
        .inside(path)
        .map_err(|_| Refusal::exception(format!("can not create git outside workspace: {path}")))?;
    let call = format!("make_git({path})");
    let mut git = Git { tools, root: work.ground().root(), tree: tree.clone(), deadline: None, call };
    let place = tree.to_string_lossy().into_owned();
    if is_tree(&tree) {
        git.is_harmless().await?;
    } else if tree.join(".git").symlink_metadata().is_ok() {
        return Err(Refusal::exception(format!("destination is not a git tree: {path}")));
    }
    let what = format!("create git {place}");
    git.must(&what, &["init", "--quiet", "--initial-branch=master", "--", &place]).await?;
    let commit = ["-c", "commit.gpgsign=false", "commit", "--quiet", "--allow-empty", "--message=Empty"];
    git.must_here(&what, &commit).await?;
    Ok(tree)
}

/// Whether a tree knows a revision.
pub(super) async fn knows(
    work: &FileWork,
    tools: &mut Tools,
    path: &str,
    refspec: &str,
) -> Result<bool, Refusal> {
    let tree = work.ground().inside(path)?;
    if !is_tree(&tree) || refspec.starts_with('-') {
        return Ok(false);
    }
    let call = format!("has_git({path}, {refspec})");
    let mut git = Git { tools, root: work.ground().root(), tree, deadline: None, call };
    git.is_harmless().await?;
    git.knows(refspec).await
}

/// Removes a tree, git or not, but never the workspace itself.
pub(super) fn delete(ground: &Ground, path: &str) -> Result<(), Refusal> {
    let tree = ground.entry(path)?;
    let found = tree.symlink_metadata().map_err(|error| failed(path, &error))?;
    if !found.is_dir() || tree == ground.root() {
        return Err(Refusal::exception(format!("not a directory within the workspace: {path}")));
    }
    erase::tree(&tree).map_err(|error| failed(path, &error))
}

/// Makes sure of the destination, and says whether there is nothing in it.
fn prepare(ground: &Ground, dst: &str) -> Result<(PathBuf, bool), Refusal> {
    let tree = ground
        .inside(dst)
        .map_err(|_| Refusal::exception(format!("can not store git tree outside workspace: {dst}")))?;
    if !tree.exists() {
        fs::create_dir_all(&tree).map_err(|error| failed(dst, &error))?;
    }
    if !tree.is_dir() {
        return Err(Refusal::exception(format!("destination is not a directory: {dst}")));
    }
    let empty = fs::read_dir(&tree).map_err(|error| failed(dst, &error))?.next().is_none();
    if !empty && !is_tree(&tree) {
        return Err(Refusal::exception(format!("destination is not a git tree: {dst}")));
    }
    Ok((tree, empty))
}

/// What a failed clone leaves behind goes.
fn clear(ground: &Ground, tree: &Path) -> Result<(), Refusal> {
    let cleared = erase::tree(tree).and_then(|()| match tree == ground.root() {
        true => fs::create_dir(tree),
        false => Ok(()),
    });
    cleared.map_err(|error| failed(&tree.to_string_lossy(), &error))
}

/// A `.git` that is a file or a link would lead git elsewhere, and so would a `commondir` in it.
fn is_tree(tree: &Path) -> bool {
    let git = tree.join(".git");
    git.symlink_metadata().is_ok_and(|found| found.is_dir())
        && git.join("commondir").symlink_metadata().is_err()
}

/// One call's use of git on one tree.
struct Git<'a> {
    tools: &'a mut Tools,
    root: &'a Path,
    tree: PathBuf,
    deadline: Option<Instant>,
    call: String,
}

impl Git<'_> {
    async fn clone(&mut self, src: &str, depth: i64) -> Result<(), Refusal> {
        let place = self.tree.to_string_lossy().into_owned();
        let depth = (depth > 0).then(|| format!("--depth={depth}"));
        let options = ["clone", "--no-checkout"].into_iter().chain(depth.as_deref());
        let words: Vec<&str> = options.chain(["--", src, &place]).collect();
        self.must(&format!("clone from {src} to {place}"), &words).await
    }

    /// Makes sure that a tree, which a client may have filled as it likes, has git run no programs.
    async fn is_harmless(&mut self) -> Result<(), Refusal> {
        let config = self.tree.join(".git/config").to_string_lossy().into_owned();
        let words = ["config", "--file", &config, "--no-includes", "--name-only", "--list"];
        let found = self.run("look up", words.map(str::to_owned).into()).await?;
        if found.code != 0 {
            return Err(self.failed("look up", &found));
        }
        match found.output.lines().find(|name| !is_known(name)) {
            Some(name) => {
                Err(Refusal::exception(format!("{config}: wanted git's own configuration, found {name}")))
            }
            None => Ok(()),
        }
    }

    /// From any state of a tree to the wanted revision, fetched if need be.
    async fn bring(&mut self, src: &str, refspec: &str) -> Result<(), Refusal> {
        let name = ["refs/heads/", "refs/tags/"]
            .iter()
            .find_map(|prefix| refspec.strip_prefix(prefix))
            .unwrap_or(refspec);
        if !self.knows(refspec).await? {
            // Fetching `ID:ID` would leave a stray branch named like the id.
            let wanted =
                if is_commit_id(refspec) { refspec.to_owned() } else { format!("{refspec}:{refspec}") };
            self.must_here(
                &format!("fetch {refspec}"),
                &["fetch", "--no-recurse-submodules", "--tags", "--", src, &wanted],
            )
            .await?;
        } else if self.is_checked_out() && self.is_upstream_branch(src, name).await? {
            return self.pull(src, name).await;
        }
        self.must_here(&format!("checkout {refspec}"), &["checkout", "--force", name, "--"]).await
    }

    /// Not yet, if only the clone succeeded: its missing files are no changes.
    fn is_checked_out(&self) -> bool {
        self.tree.join(".git/index").exists()
    }

    async fn knows(&mut self, refspec: &str) -> Result<bool, Refusal> {
        Ok(self.here("look up", &["rev-list", "--max-count=1", refspec, "--"]).await?.code == 0)
    }

    /// Whether this branch is checked out and the source has it too.
    async fn is_upstream_branch(&mut self, src: &str, name: &str) -> Result<bool, Refusal> {
        let head = self.here("look up", &["symbolic-ref", "--quiet", "--short", "HEAD"]).await?;
        if head.code != 0 || head.output.trim_end() != name {
            return Ok(false);
        }
        let branch = format!("refs/heads/{name}");
        let what = format!("fetch {name}");
        let found = self.here(&what, &["ls-remote", "--exit-code", "--", src, &branch]).await?;
        match found.code {
            0 => Ok(true),
            2 => Ok(false),
            _ => Err(self.failed(&what, &found)),
        }
    }

    async fn pull(&mut self, src: &str, name: &str) -> Result<(), Refusal> {
        let status = self.here("look up", &["status", "--porcelain", "--ignore-submodules=all"]).await?;
        if !status.output.trim().is_empty() {
            return Err(Refusal::exception(format!("can't pull into a dirty tree: {}", self.tree.display())));
        }
        self.must_here(
            &format!("fetch {name}"),
            &["fetch", "--no-recurse-submodules", "--", src, &format!("refs/heads/{name}")],
        )
        .await?;
        self.must_here(&format!("merge {name}"), &["merge", "--no-edit", "FETCH_HEAD"]).await
    }

    async fn must_here(&mut self, what: &str, words: &[&str]) -> Result<(), Refusal> {
        let finished = self.here(what, words).await?;
        if finished.code == 0 { Ok(()) } else { Err(self.failed(what, &finished)) }
    }

    async fn must(&mut self, what: &str, words: &[&str]) -> Result<(), Refusal> {
        let finished = self.run(what, words.iter().map(|word| word.to_string()).collect()).await?;
        if finished.code == 0 { Ok(()) } else { Err(self.failed(what, &finished)) }
    }

    /// Runs git on this tree and no other, wherever the tree lies.
    async fn here(&mut self, what: &str, words: &[&str]) -> Result<Finished, Refusal> {
        let tree = self.tree.display();
        let mut argv = vec![format!("--git-dir={tree}/.git"), format!("--work-tree={tree}")];
        argv.extend(words.iter().map(|word| word.to_string()));
        self.run(what, argv).await
    }

    async fn run(&mut self, what: &str, words: Vec<String>) -> Result<Finished, Refusal> {
        let options = OPTIONS.iter().flat_map(|option| ["-c", option]);
        let git = ["git"].into_iter().chain(options).map(Into::into);
        let argv = git.chain(words.into_iter().map(Into::into)).collect();
        let limit = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let run = Run { argv, directory: self.root, environment: ENVIRONMENT, limit };
        self.tools.run(run).await.map_err(|refusal| match refusal.kind.as_str() {
            "Timeout" => {
                let out = refusal.details.get("out").cloned().unwrap_or_default();
                timeout(format!("{what} timed out"), self.call.clone().into(), out)
            }
            _ => refusal,
        })
    }

    /// Git's refusal, with what it calls fatal.
    fn failed(&self, what: &str, finished: &Finished) -> Refusal {
        let fatal: Vec<&str> = finished.output.lines().filter(|line| line.starts_with("fatal:")).collect();
        let message = [&[format!("failed to {what}").as_str()], fatal.as_slice()].concat().join(" ");
        run_error(message, Value::Text(self.call.clone()), &finished.output)
    }
}

/// Whether a name, `section.any thing.name`, is one of [`CONFIGURATION`].
fn is_known(name: &str) -> bool {
    let section = name.split('.').next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    CONFIGURATION.iter().any(|(known, names)| *known == section && names.contains(&last))
}

fn is_commit_id(refspec: &str) -> bool {
    matches!(refspec.len(), 40 | 64) && refspec.bytes().all(|byte| byte.is_ascii_hexdigit())
}

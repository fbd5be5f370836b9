//! The processes on a handset, as its `ps` prints them: nine columns, in the old and in the new form.

use ave_profile::{Map, Refusal, Value};
use ave_protocol::arguments::Bound;

use super::device::{Answer, Handset};
use super::limits::LOOK_LIMIT;
use crate::drivers::arguments::Take;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: String,
    pub(super) name: String,
}

/// The processes a list names. What is no such line, as the header is not, is none.
fn processes(list: &str) -> Vec<Process> {
    let process = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (pid, name) = (columns.get(1)?, columns.get(8)?);
        let numeric = pid.bytes().all(|byte| byte.is_ascii_digit());
        numeric.then(|| Process { pid: (*pid).to_owned(), name: (*name).to_owned() })
    };
    list.lines().filter_map(process).collect()
}

impl Handset {
    /// Everything that runs. Newer handsets need to be asked for all of it; older ones take that for a name.
    pub(super) async fn processes(&self) -> Result<Vec<Process>, Refusal> {
        let all = processes(&self.run("ps -A", Some(LOOK_LIMIT)).await?);
        match all.is_empty() {
            true => Ok(processes(&self.run("ps", Some(LOOK_LIMIT)).await?)),
            false => Ok(all),
        }
    }

    pub(super) async fn ps(&self, arguments: &mut Bound) -> Answer {
        let (name, exact) = (arguments.optional("name")?, arguments.flag("exact")?);
        let wanted = |process: &Process| match &name {
            None => true,
            Some(name) if exact => process.name == *name,
            Some(name) => process.name.contains(name),
        };
        let listed = self.processes().await?.into_iter().filter(wanted).map(|process| {
            let members = [("pid".to_owned(), process.pid.into()), ("name".to_owned(), process.name.into())];
            Value::Map(Map::from(members))
        });
        Ok(Value::List(listed.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_list_are_read() {
        // H25
        let old = "USER     PID   PPID  VSIZE  RSS     WCHAN    PC         NAME\n\
                   root      1     0     8864   720   ffffffff 00000000 S /init\n\
                   u0_a5   842   230   912345 3456   ffffffff b6f1 S com.android.phone\n";
        let new = "USER           PID  PPID     VSZ    RSS WCHAN            ADDR S NAME\n\
                   root             1     0   10632   2612 SyS_epoll_wait      0 S init\n\
                   root             7     2       0      0 rcu_gp_kthread      0 S [rcu_sched]\n";
        let read = |list| processes(list).into_iter().map(|p| (p.pid, p.name)).collect::<Vec<_>>();
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(pid, name)| ((*pid).to_owned(), (*name).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(read(old), pairs(&[("1", "/init"), ("842", "com.android.phone")]));
        assert_eq!(read(new), pairs(&[("1", "init"), ("7", "[rcu_sched]")]));
    }
}

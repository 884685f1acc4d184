//! `sealroom slot`: the key slots of a vault, in its file or through the server that has it open.

mod args;
mod target;

use std::path::Path;

use serde_json::json;
use zeroize::Zeroizing;

pub(in crate::cli) use self::args::Args;
use self::{
    args::{AddArgs, AddKind, ChangeArgs, RemoveArgs, Verb},
    target::{NotDone, Target},
};
use super::{
    control::{NewSlot, SlotRequest, SlotRow, SlotVerb},
    file_args::FileArgs,
    passphrase::{self, PassphraseArgs, warn_if_short},
    replace::compact_after_slot,
};
use crate::{
    cli::{
        error::CliError,
        secrets::{self, shown},
        terminal::{
            output::Output,
            prompt::{self, Asking},
            table::{NOTHING, local, table},
        },
    },
    crypto::{
        kdf::KdfParams, keys::SlotKind, machine::MachineKey, random::RandomError, recovery::RecoveryKey,
    },
    domain::{Secret, Timestamp},
};

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    match args.verb {
        Verb::List(file) => {
            let slots = Target::of(&file.data, file.locking())?.list(&file.data)?;
            show(&slots, output)
        }
        Verb::Add(AddArgs { kind: AddKind::Passphrase(args) }) => {
            let kdf = args.cost.params_of_slot(output)?;
            let (target, secret) = begin(&args.file, &args.passphrase, output)?;
            let new = new_passphrase(args.new_passphrase_file.as_deref(), output)?;
            let new = new_slot(SlotKind::Passphrase, &new, kdf, args.cost.weak_kdf)?;
            let done = add(&target, &args.file, &secret, new)?;
            added(SlotKind::Passphrase, done, output)
        }
        Verb::Add(AddArgs { kind: AddKind::Recovery(args) }) => {
            let kdf = args.cost.params_of_slot(output)?;
            let (target, secret) = begin(&args.file, &args.passphrase, output)?;
            let new = Given::recovery(args.recovery_key_file.as_deref(), output)?;
            let slot = new_slot(SlotKind::Recovery, &new.secret, kdf, args.cost.weak_kdf)?;
            let done = add(&target, &args.file, &secret, slot);
            added(SlotKind::Recovery, new.settle(done)?, output)
        }
        Verb::Add(AddArgs { kind: AddKind::Machine(args) }) => {
            let (target, secret) = begin(&args.file, &args.passphrase, output)?;
            let new = Given::machine(&args.key_file)?;
            let slot = new_slot(SlotKind::Machine, &new.secret, KdfParams::LIGHT, false)?;
            let done = add(&target, &args.file, &secret, slot);
            added(SlotKind::Machine, new.settle(done)?, output)
        }
        Verb::Change(args) => change(&args, output),
        Verb::Remove(args) => remove(&args, output),
    }
}

/// Opens the vault, and reads the secret of one of its slots.
fn begin(
    file: &FileArgs,
    passphrase: &PassphraseArgs,
    output: &Output,
) -> Result<(Target, Secret), CliError> {
    // Before any prompt: a user must not type a passphrase for a file that cannot be opened.
    let target = Target::of(&file.data, file.locking())?;
    Ok((target, passphrase.read(Asking::Once, output)?))
}

fn new_passphrase(path: Option<&Path>, output: &Output) -> Result<Secret, CliError> {
    let new = match path {
        Some(path) => secrets::from_file(path, output)?,
        None if prompt::is_possible() => prompt::secret("New passphrase", Asking::Twice)?,
        None => {
            return Err(CliError::usage(
                "no new passphrase: standard input is not a terminal",
                "pass --new-passphrase-file FILE",
            ));
        }
    };
    if new.is_empty() {
        return Err(CliError::failed("the new passphrase is empty", "use a long one that you can remember"));
    }
    secrets::check_new(&new, "passphrase", path)?;
    passphrase::check_new(&new)?;
    warn_if_short(&new, output);
    Ok(new)
}

/// A generated secret that its user has before it opens anything.
struct Given<'a> {
    secret: Secret,
    /// Its file; without one it was shown.
    path: Option<&'a Path>,
}

impl<'a> Given<'a> {
    fn recovery(path: Option<&'a Path>, output: &Output) -> Result<Self, CliError> {
        let secret = RecoveryKey::generate().map_err(no_random)?.to_text();
        if let Some(path) = path {
            secrets::NewFile::begin(path)?.write(secret.expose())?;
            return Ok(Self { secret, path: Some(path) });
        }
        let text = shown(&secret);
        let shown = output.once(
            "the recovery key",
            &format!("recovery key  {text}"),
            &json!({ "recovery_key": text }),
        );
        shown.map_err(|lost| {
            CliError::failed(
                lost.to_string(),
                "no slot changed; run it again with a reader on standard output",
            )
        })?;
        Ok(Self { secret, path: None })
    }

    fn machine(path: &'a Path) -> Result<Self, CliError> {
        let secret = MachineKey::generate().map_err(no_random)?.to_text();
        secrets::NewFile::begin(path)?.write(secret.expose())?;
        Ok(Self { secret, path: Some(path) })
    }

    /// Takes back a secret that certainly opens nothing.
    fn settle<T>(&self, outcome: Result<T, NotDone>) -> Result<T, CliError> {
        outcome.map_err(|not_done| match (not_done, self.path) {
            (NotDone::Refused(error), Some(path)) => {
                drop(std::fs::remove_file(path));
                error
            }
            (NotDone::Refused(error), None) => {
                CliError { hint: format!("{}; the recovery key shown opens nothing", error.hint), ..error }
            }
            (NotDone::InDoubt(error), _) => CliError {
                hint: format!(
                    "{}; the new secret may open the vault: keep it, and see `sealroom slot list`",
                    error.hint
                ),
                ..error
            },
        })
    }
}

fn no_random(error: RandomError) -> CliError {
    CliError::failed(
        error.to_string(),
        "let this process use getrandom(2) or /dev/urandom, which a sandbox may forbid",
    )
}

/// Adds a slot; what fails afterwards leaves it.
fn add(
    target: &Target,
    file: &FileArgs,
    secret: &Secret,
    new: NewSlot,
) -> Result<(u32, Vec<SlotRow>), NotDone> {
    let secret = text_of(secret).map_err(NotDone::Refused)?;
    target.change(&file.data, SlotRequest { secret, change: SlotVerb::Add, id: None, new: Some(new) })
}

fn added(kind: SlotKind, (id, slots): (u32, Vec<SlotRow>), output: &Output) -> Result<(), CliError> {
    output.note(&format!("slot {id} opens the vault with the new {} secret", kind.name()));
    is_listed(kind, &slots, output)
}

/// Shows the slots, unless a recovery key was the result.
fn is_listed(kind: SlotKind, slots: &[SlotRow], output: &Output) -> Result<(), CliError> {
    if kind == SlotKind::Recovery { Ok(()) } else { show(slots, output) }
}

fn change(args: &ChangeArgs, output: &Output) -> Result<(), CliError> {
    let (target, secret) = begin(&args.file, &args.passphrase, output)?;
    let kind = match args.slot {
        Some(id) => kind_of(id, &target.list(&args.file.data)?)?,
        None => kind_of_text(&secret),
    };
    let kdf = if kind == SlotKind::Machine { KdfParams::LIGHT } else { args.cost.params_of_slot(output)? };
    let send = |new: &Secret| {
        let request = || {
            let new = Some(new_slot(kind, new, kdf, args.cost.weak_kdf)?);
            Ok(SlotRequest { secret: text_of(&secret)?, change: SlotVerb::Change, id: args.slot, new })
        };
        target.change(&args.file.data, request().map_err(NotDone::Refused)?)
    };
    let ((id, slots), opener) = if args.same {
        (send(&secret)?, secret)
    } else {
        match kind {
            SlotKind::Passphrase => {
                let new = new_passphrase(args.new_passphrase_file.as_deref(), output)?;
                (send(&new)?, new)
            }
            SlotKind::Recovery => {
                let new = Given::recovery(args.recovery_key_file.as_deref(), output)?;
                (new.settle(send(&new.secret))?, new.secret)
            }
            SlotKind::Machine => {
                let path = args.key_file.as_deref();
                let needed = || CliError::usage("a machine key needs a file", "pass --key-file FILE");
                let new = Given::machine(path.ok_or_else(needed)?)?;
                (new.settle(send(&new.secret))?, new.secret)
            }
        }
    };
    output.note(&format!("slot {id} has changed"));
    let shown = is_listed(if args.same { SlotKind::Passphrase } else { kind }, &slots, output);
    end_with_compact(&args.file, target, opener, output);
    shown
}

fn remove(args: &RemoveArgs, output: &Output) -> Result<(), CliError> {
    args.consent.check()?;
    let id = args.slot()?;
    let (target, secret) = begin(&args.file, &args.passphrase, output)?;
    let slots = target.list(&args.file.data)?;
    let kind = kind_of(id, &slots)?;
    let mut loss = format!("slot {id} holds a {} secret, which will no longer open this file", kind.name());
    let is_last_recovery = kind == SlotKind::Recovery
        && !slots.iter().any(|slot| slot.kind == SlotKind::Recovery.name() && slot.id != id);
    if is_last_recovery {
        loss.push_str("; no recovery key is left then: a forgotten passphrase loses the vault");
    }
    args.consent.obtain(&loss, "Remove it?", *output)?;
    let request =
        SlotRequest { secret: text_of(&secret)?, change: SlotVerb::Remove, id: Some(id), new: None };
    let (id, slots) = target.change(&args.file.data, request)?;
    output.note(&format!("slot {id} is removed"));
    if is_last_recovery {
        output.warning(
            "no recovery key is left: a forgotten passphrase loses the vault; add one: sealroom slot add recovery",
        );
    }
    show(&slots, output)?;
    end_with_compact(&args.file, target, secret, output);
    Ok(())
}

/// Ends a change that took a secret away: with a `compact`, the old slot leaves the file's free pages.
fn end_with_compact(file: &FileArgs, target: Target, opener: Secret, output: &Output) {
    let data = file.data.display();
    let served = matches!(target, Target::Server(_));
    drop(target);
    let left = if served {
        Some("a server has the file open".to_owned())
    } else {
        compact_after_slot(&file.data, file.locking(), opener, output).err().map(|error| error.message)
    };
    match left {
        None => output.note(&format!("compacted {data}: the old slot has left it")),
        Some(cause) => output.warning(&format!(
            "{cause}: free pages of {data} still hold the old slot until `sealroom compact --data {data}`"
        )),
    }
    output.warning(&format!(
        "earlier copies of {data} still open with the old secret, and with it this vault until \
         `sealroom rekey --data {data}`"
    ));
}

fn kind_of(id: u32, slots: &[SlotRow]) -> Result<SlotKind, CliError> {
    let kinds = [SlotKind::Passphrase, SlotKind::Recovery, SlotKind::Machine];
    let found = slots.iter().find(|slot| slot.id == id);
    let kind = found.and_then(|slot| kinds.into_iter().find(|kind| kind.name() == slot.kind));
    kind.ok_or_else(|| CliError::failed(format!("there is no slot {id}"), "see `sealroom slot list`"))
}

/// Returns the kind of slot that a text opens, by its form.
fn kind_of_text(secret: &Secret) -> SlotKind {
    let text = secret.expose_text().unwrap_or_default();
    if MachineKey::from_text(text).is_some() {
        SlotKind::Machine
    } else if RecoveryKey::from_text(text).is_ok() {
        SlotKind::Recovery
    } else {
        SlotKind::Passphrase
    }
}

fn new_slot(kind: SlotKind, secret: &Secret, kdf: KdfParams, weak_kdf: bool) -> Result<NewSlot, CliError> {
    Ok(NewSlot {
        kind: kind.name().to_owned(),
        secret: text_of(secret)?,
        memory_kib: kdf.memory_kib(),
        passes: kdf.passes(),
        lanes: kdf.lanes(),
        weak_kdf,
    })
}

fn text_of(secret: &Secret) -> Result<Zeroizing<String>, CliError> {
    let text = secret.expose_text().ok_or_else(|| {
        CliError::failed(
            "the passphrase is not UTF-8",
            "unlock with the recovery key, and set a passphrase that is",
        )
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn show(slots: &[SlotRow], output: &Output) -> Result<(), CliError> {
    let row = |slot: &SlotRow| {
        let cost = match (slot.memory_kib, slot.passes, slot.lanes) {
            (Some(memory), Some(passes), Some(lanes)) => {
                format!(
                    "{} {memory} KiB, {passes} pass{}, {lanes} lane{}",
                    slot.kdf,
                    if passes == 1 { "" } else { "es" },
                    if lanes == 1 { "" } else { "s" }
                )
            }
            _ => slot.kdf.clone(),
        };
        let time = slot.changed_at.map(Timestamp::from_millis);
        [slot.id.to_string(), slot.kind.clone(), cost, time.map_or_else(|| NOTHING.to_owned(), local)]
    };
    let text = table(["ID", "KIND", "KEY DERIVATION", "CHANGED"], slots.iter().map(row).collect());
    output.result(&text, &json!({ "slots": slots }))
}

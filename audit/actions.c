/*
 * actions.c: the closed list of what can be in the log, as verb.object.
 *
 * A record with an action that is not here is refused, so a misspelt one shows in the first test. "reason" marks the
 * actions that a person must justify. docs/audit.md lists them in the same words (a test compares).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"

#include <string.h>

#define WITH_REASON true
#define PLAIN false

static const td_action actions[] = {
    /* access */
    {"create.project", PLAIN, "A project was created."},
    {"update.project", PLAIN, "A project's description was changed."},
    {"archive.project", WITH_REASON, "A project was hidden and closed for changes."},
    {"restore.project", WITH_REASON, "An archived project was opened again."},
    {"create.user", PLAIN, "A user or service account was created."},
    {"disable.user", WITH_REASON, "A user was shut out; all his tokens end."},
    {"enable.user", WITH_REASON, "A user was let in again."},
    {"grant.role", WITH_REASON, "A role in a project was given to a user."},
    {"revoke.role", WITH_REASON, "A role in a project was taken from a user."},
    {"create.token", PLAIN, "A token was made for a user."},
    {"rotate.token", WITH_REASON, "A token was replaced by a successor; the old one ends."},
    {"revoke.token", PLAIN, "A token was ended before its time."},
    {"add.key", PLAIN, "A person's public key was added."},
    {"revoke.key", WITH_REASON, "A person's public key was withdrawn."},
    {"issue.keyset", PLAIN, "A new set of trusted keys was signed by root."},
    {"publish.keyset", PLAIN, "A signed set of trusted keys came into force."},
    {"deny.access", PLAIN, "A request was refused for want of a permission (counted by source and minute)."},
    {"deny.request", PLAIN, "A request was refused for its form (counted by source and minute)."},
    {"fail.login", PLAIN, "A login failed (counted by source and minute)."},
    /* workspace and server */
    {"init.workspace", PLAIN, "The workspace was made."},
    {"raise.profile", WITH_REASON, "The workspace moved to a stricter profile."},
    {"change.configuration", PLAIN, "The server started with another configuration than before."},
    {"change.witness_policy", PLAIN, "Another policy of witnesses came into force."},
    {"contradict.log", PLAIN, "A witness or a device has seen another tree than this log has."},
    {"start.server", PLAIN, "The server started."},
    {"stop.server", PLAIN, "The server stopped in good order."},
    {"export.audit", PLAIN, "The log was exported."},
    {"erase.record", WITH_REASON, "A record's body was erased; its leaf stays."},
    {"create.backup", PLAIN, "A backup was made."},
    {"restore.backup", WITH_REASON, "The workspace was restored from a backup."},
    {"resume.log", WITH_REASON, "The log went on under a new origin after its end was lost."},
    {"read.sensitive", PLAIN, "Sensitive data was read."},
    /* registry */
    {"create.model", PLAIN, "A model (a named line of versions) was created."},
    {"rename.model", PLAIN, "A model got another name."},
    {"archive.model", PLAIN, "A model and its versions were hidden."},
    {"archive.version", PLAIN, "A version was hidden."},
    {"add.claim", PLAIN, "A signed claim about a version was taken in; the record has its digest."},
    {"trust.claim_key", WITH_REASON, "A key was listed whose claims count."},
    {"distrust.claim_key", WITH_REASON, "A listed key was struck off; its claims stay."},
    {"stage.version", PLAIN, "A version got another stage, a label of MLflow's clients."},
    {"create.webhook", PLAIN, "A webhook was made: who is told of changes."},
    {"update.webhook", PLAIN, "A webhook was changed."},
    {"delete.webhook", PLAIN, "A webhook was ended."},
    {"update.model", PLAIN, "A model's description or tags changed."},
    {"delete.model", WITH_REASON, "A model without live versions was removed."},
    {"register.version", PLAIN, "A version was registered."},
    {"update.version", PLAIN, "A draft version's metadata changed."},
    {"submit.version", PLAIN, "A version was frozen, packed and put up for approval."},
    {"approve.version", WITH_REASON, "An approver signed a version's manifest."},
    {"reject.version", WITH_REASON, "A version was turned down."},
    {"withdraw.version", WITH_REASON, "A submitted version was taken back."},
    {"move.version", WITH_REASON, "A version moved to another state."},
    {"deprecate.version", WITH_REASON, "A version was marked as not for new roll-outs."},
    {"retire.version", WITH_REASON, "A version reached the end of its life."},
    {"revoke.version", WITH_REASON, "A version was revoked: devices must not run it."},
    {"sign.version", PLAIN, "The publisher's signature over a version was made."},
    {"tag.version", PLAIN, "A tag of a version was set or removed."},
    {"set.alias", PLAIN, "An alias was pointed at a version."},
    {"delete.alias", PLAIN, "An alias was removed."},
    {"import.bundle", PLAIN, "A bundle from elsewhere was taken in."},
    {"export.bundle", PLAIN, "A bundle was exported."},
    /* fleet */
    {"create.enrolment_code", PLAIN, "A code that lets one device in was made."},
    {"enrol.device", PLAIN, "A device came in by a code."},
    {"update.device", PLAIN, "A device's tags or description changed."},
    {"revoke.device", WITH_REASON, "A device was shut out."},
    {"renew.certificate", PLAIN, "A device's certificate was renewed."},
    {"create.rollout", PLAIN, "The bringing of a version to devices was ordered."},
    {"start.wave", PLAIN, "A wave of a roll-out began."},
    {"pass.wave", PLAIN, "A wave met its criteria."},
    {"fail.wave", PLAIN, "A wave failed its criteria."},
    {"pause.rollout", PLAIN, "A roll-out was halted for the time being."},
    {"resume.rollout", PLAIN, "A halted roll-out went on."},
    {"abort.rollout", WITH_REASON, "A roll-out was stopped; devices that work on it stop at a safe point."},
    {"revert.rollout", WITH_REASON, "Devices were ordered back to what they ran before."},
    {"finish.rollout", PLAIN, "A roll-out ended."},
    {"issue.directive", PLAIN, "The director signed the goal state of a device."},
    {"report.install", PLAIN, "Devices reported what became of an installation."},
    /* experiments */
    {"create.experiment", PLAIN, "An experiment (a name that runs gather under) was made."},
    {"update.experiment", PLAIN, "An experiment's name or a tag of it changed."},
    {"delete.experiment", PLAIN, "An experiment was hidden."},
    {"restore.experiment", PLAIN, "A hidden experiment was brought back."},
    {"start.experiment_run", PLAIN, "A run of an experiment began."},
    {"finish.experiment_run", PLAIN, "A run of an experiment ended; the record has a digest of all that it logged."},
    {"update.experiment_run", PLAIN, "Inputs or outputs of a run were named, or an ended run was changed."},
    {"delete.experiment_run", PLAIN, "A run of an experiment was hidden."},
    {"restore.experiment_run", PLAIN, "A hidden run of an experiment was brought back."},
    {"create.logged_model", PLAIN, "A run logged a model."},
    {"finish.logged_model", PLAIN, "All files of a logged model arrived, or failed to; the record has their digest."},
    {"update.logged_model", PLAIN, "A logged model's tags, parameters or files changed."},
    {"delete.logged_model", PLAIN, "A logged model was hidden."},
    {"settle.artifacts", PLAIN, "What a run had logged became a version; the record has a digest of the files."},
    /* monitor and retraining */
    {"configure.monitor", PLAIN, "What is watched, and within which bounds, changed."},
    {"fire.alert", PLAIN, "A signal went out of bounds and stayed there."},
    {"acknowledge.alert", PLAIN, "A person took charge of an alert."},
    {"resolve.alert", PLAIN, "A signal came back into its bounds."},
    {"configure.pipeline", PLAIN, "A retraining pipeline was set up or changed."},
    {"configure.gate", PLAIN, "A gate's rules were fixed or changed."},
    {"request.retrain", PLAIN, "Retraining was asked for, by an alert or a person."},
    {"start.run", PLAIN, "A worker took up a run of a pipeline."},
    {"finish.run", PLAIN, "A run of a pipeline ended."},
    {"judge.gate", PLAIN, "A gate gave its verdict on a version."},
};

const td_action *td_action_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < TD_COUNT_OF(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return &actions[i];
        }
    }
    return NULL;
}

const td_action *td_action_all(size_t *count_out)
{
    *count_out = TD_COUNT_OF(actions);
    return actions;
}

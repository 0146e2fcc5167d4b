/*
 * What an operator does: each action shows its plan first, does nothing when it is given up, and after the confirmation the
 * database has it.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, cell, number } from './lib/browser.mjs';
import { Stand, until } from './lib/stand.mjs';

let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ ini: { generation: { books_per_provider: 5 },
		enrichment: { enabled: 'false' }, scheduler: { schedule: '', catch_up: 'none', year_start: 2020, year_end: 2024 } } }), launch()]);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

const statuses = async () => Object.fromEntries((await stand.sql(
	'SELECT status, count(*)::int AS n FROM backfill_log GROUP BY 1')).map(r => [r.status, r.n]));
const months = where => stand.value(`SELECT count(*)::int FROM backfill_log WHERE ${where}`);

/* Opens a dialog and waits for its plan. */
async function open(page, button) {
	await named(page, button).click();
	await named(page, 'dialog-plan').waitFor();
}

/* Waits for the plan after an input has changed: the old one loses its name at once. */
async function replanned(page) {
	await named(page, 'dialog-plan').waitFor();
	assert.ok(await named(page, 'dialog-confirm').isEnabled(), 'the plan can be confirmed');
}

async function confirm(page) {
	await named(page, 'dialog-confirm').click();
	await named(page, 'dialog').waitFor({ state: 'detached' });
}

/* An empty backfill offers to seed, and only that. */
test('seeding, when there is nothing yet', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		assert.ok(await named(page, 'action-schedule').isHidden());
		await open(page, 'action-seed');
		await named(page, 'field-year_start').fill('2023');
		await named(page, 'field-year_end').fill('2024');
		await replanned(page);
		assert.equal(await number(named(page, 'dialog-count')), 24);
		assert.deepEqual(await statuses(), {});
		await confirm(page);
		await cell(page, '2023-01').waitFor();
		assert.deepEqual(await statuses(), { pending: 24 });
		assert.ok(await named(page, 'action-seed').isHidden());
	});
});

/* The plan has the count, the calls of both AIs, quota, cost and time; giving up does nothing; confirming claims. */
test('schedule after its plan', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await open(page, 'action-schedule');
		await named(page, 'field-batch_size').fill('3');
		await named(page, 'field-year_start').fill('2024');
		assert.ok(await named(page, 'dialog-confirm').isDisabled(), 'what was planned before a change can not be confirmed');
		await replanned(page);
		assert.equal(await number(named(page, 'dialog-count')), 3);
		const plan = await named(page, 'dialog-plan').innerText();
		for (const words of [/December 2024/, /Gemini/, /Grok/, /ISBNdb/, /Calls/i, /Quota/i, /\$\d/, /\d+ (s|min|h)\b/])
			assert.match(plan, words);
		await named(page, 'dialog-cancel').click();
		await named(page, 'dialog').waitFor({ state: 'detached' });
		assert.deepEqual(await statuses(), { pending: 24 });

		await open(page, 'action-schedule');
		await named(page, 'field-batch_size').fill('3');
		await replanned(page);
		await confirm(page);
		await until(async () => await months("status = 'completed'") === 3, 'three months are completed', 40000);
		assert.equal(await months("status = 'completed' AND year = 2024 AND month >= 10"), 3, 'the newest ones');
		await until(async () => await cell(page, '2024-10').getAttribute('data-status') === 'completed', 'the cells follow');
	});
});

/* Failed months: counted before, untouched until confirmed, retried after; others stay as they are. */
test('retry by predicate after its plan', async () => {
	await stand.sql(`UPDATE backfill_log SET status = 'failed', retry_count = 5, error_message = 'attempts spent',
		last_retry_at = now() WHERE year = 2023 AND month <= 4`);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		assert.equal(await number(named(page, 'stat-failed')), 4);
		await open(page, 'action-retry');
		await named(page, 'field-where').selectOption('failed');
		await replanned(page);
		assert.equal(await number(named(page, 'dialog-count')), 4);
		assert.equal(await months("status = 'failed'"), 4);
		await named(page, 'field-limit').fill('3');
		await replanned(page);
		await confirm(page);
		await until(async () => await months("year = 2023 AND month <= 4 AND status = 'completed'") === 3,
			'three of the failed ones are completed', 40000);
		assert.equal(await months("status = 'failed'"), 1);
		assert.equal(await months("status = 'completed'"), 6);
		assert.equal(await months("status = 'pending'"), 17);
	});
});

/* Months below a rate: only those, bought again from nothing. */
test('retry below a resolution rate', async () => {
	await stand.sql(`UPDATE backfill_log SET isbns_resolved = 1, isbns_queued = 0, resolution_rate = 20
		WHERE (year, month) IN ((2024, 12), (2024, 11))`);
	const before = await stand.value('SELECT max(id) FROM backfill_events');
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await open(page, 'action-retry');
		await named(page, 'field-where').selectOption('rate');
		await named(page, 'field-rate_below').fill('30');
		await replanned(page);
		assert.equal(await number(named(page, 'dialog-count')), 2);
		assert.match(await named(page, 'dialog-plan').innerText(), /bought again/);
		await confirm(page);
		await until(async () => await months("(year, month) IN ((2024, 12), (2024, 11)) AND status = 'pending'") === 2,
			'both are pending again');
		assert.equal(await stand.value('SELECT count(DISTINCT (year, month))::int FROM backfill_events WHERE id > %s', before), 2);
		assert.equal(await months("status = 'completed'"), 4);
	});
});

/* "Where Grok refused" finds just the months whose newest answer of Grok was no list. */
test('retry where Grok refused', async () => {
	await stand.sql(`UPDATE backfill_answers SET outcome = 'refusal', body = NULL
		WHERE provider = 'xai' AND (year, month) = (2024, 10)`);
	const refused = (await stand.post('/api/internal/months/retry', { refused_by: 'xai', dry_run: true })).matched;
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await open(page, 'action-retry');
		await named(page, 'field-where').selectOption('xai');
		await replanned(page);
		assert.equal(await number(named(page, 'dialog-count')), refused);
		assert.equal(refused, 1);
		assert.match(await named(page, 'dialog-plan').innerText(), /October 2024/);
		await page.keyboard.press('Escape');
	});
});

/* A pause has its note and its end, is in the banner and in the database; resuming ends it. */
test('pause with a note and an end, and resume', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await open(page, 'action-pause');
		const end = new Date(Date.now() + 26 * 3600e3).toISOString().slice(0, 16);
		await named(page, 'field-note').fill('quota <b>wanted</b> elsewhere');
		await named(page, 'field-until').fill(end);
		await replanned(page);
		await confirm(page);
		await named(page, 'action-resume').waitFor();
		assert.match(await named(page, 'banner').innerText(), /paused.*quota <b>wanted<\/b> elsewhere/i);
		const [row] = await stand.sql(`SELECT paused, note, to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI') AS until
			FROM backfill_control`);
		assert.deepEqual(row, { paused: true, note: 'quota <b>wanted</b> elsewhere', until: end });
		assert.ok(await named(page, 'action-pause').isHidden());
		await open(page, 'action-resume');
		await confirm(page);
		await named(page, 'action-pause').waitFor();
		assert.equal(await stand.value('SELECT paused FROM backfill_control'), false);
		assert.doesNotMatch(await named(page, 'banner').innerText(), /paused/i);
	});
});

/* An end that is over already is not offered for confirmation. */
test('a pause that has ended already is refused', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await open(page, 'action-pause');
		await named(page, 'field-until').fill('2020-01-01T00:00');
		await named(page, 'dialog-plan').filter({ hasText: /over/ }).waitFor();
		assert.ok(await named(page, 'dialog-confirm').isDisabled());
		await page.keyboard.press('Escape');
		assert.equal(await stand.value('SELECT paused FROM backfill_control'), false);
	});
});

/* Retry, cancel and reset of one month from its page; what its state does not allow is not offered. */
test('retry, cancel and reset of a month', async () => {
	await stand.sql(`UPDATE backfill_log SET status = 'retry', retry_count = 1, error_message = 'try later',
		last_retry_at = now(), next_attempt_at = now() + interval '5 hours' WHERE year = 2023 AND month = 12`);
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await goTo(page, '#/month/2023-12');
		await until(() => named(page, 'month-cancel').isEnabled(), 'a waiting month can be cancelled');
		await open(page, 'month-cancel');
		await confirm(page);
		await until(async () => await months("year = 2023 AND month = 12 AND status = 'failed'") === 1, 'it is cancelled');
		await until(() => named(page, 'month-retry').isEnabled(), 'a cancelled month can be retried');
		assert.ok(await named(page, 'month-cancel').isDisabled());
		await open(page, 'month-retry');
		await confirm(page);
		await until(async () => await months("year = 2023 AND month = 12 AND status = 'completed'") === 1, 'it ran', 40000);
		await until(() => named(page, 'month-reset').isEnabled(), 'a completed month can be reset');
		await until(async () => (await named(page, 'month-why').innerText()).includes('Done'), 'the page followed');
		await open(page, 'month-reset');
		assert.match(await named(page, 'dialog-plan').innerText(), /dropped and bought again/);
		await confirm(page);
		await until(async () => await months("year = 2023 AND month = 12 AND status = 'pending'") === 1, 'it is pending');
		assert.equal(await stand.value('SELECT count(*)::int FROM backfill_candidates WHERE year = 2023 AND month = 12'), 0);
	});
});

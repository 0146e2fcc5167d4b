/*
 * The daemon goes away under an open page: the page says so and how old its figures are, and recovers by itself.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, cell } from './lib/browser.mjs';
import { Stand, until } from './lib/stand.mjs';

let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open({ relay: true }), launch()]);
	await stand.seed(2024, 2024);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* While it is away the age warns and grows, the months stay; when it is back, what happened meanwhile is there. */
test('the server goes and comes back', async () => {
	await withPage(browser, stand, async (page, watch) => {
		watch.expect(/Failed to load resource|ERR_/);
		await logIn(page, stand);
		const age = named(page, 'data-age'), live = named(page, 'live');
		await until(async () => await live.getAttribute('data-state') === 'live', 'the stream of events is there');
		assert.doesNotMatch(await age.innerText(), /lost/i);
		await stand.ask('cut');
		await until(async () => await live.getAttribute('data-state') === 'lost', 'the loss of the stream is seen');
		await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));	/* as when the tab is looked at */
		await until(async () => /lost.*\d+ s old/i.test(await age.innerText()), 'the age warns', 40000);
		assert.match(await age.getAttribute('class') ?? '', /warn/);
		assert.equal(await page.locator('[data-month]').count(), 12, 'what was known stays');
		const colour = () => age.evaluate(n => getComputedStyle(n).color);
		const warned = await colour();
		await stand.sql("UPDATE backfill_log SET status = 'failed', retry_count = 5 WHERE year = 2024 AND month = 3");
		await stand.ask('mend');
		await until(async () => !/lost/i.test(await age.innerText()), 'the warning goes', 40000);
		assert.notEqual(await colour(), warned, 'the warning has a colour of its own');
		assert.equal(await cell(page, '2024-03').getAttribute('data-status'), 'failed');
		await until(async () => await live.getAttribute('data-state') === 'live', 'the stream is back', 40000);
	});
});

/* An action that can't be sent says so, keeps what was typed, and works when it is tried again. */
test('an action while the server is away', async () => {
	await withPage(browser, stand, async (page, watch) => {
		watch.expect(/Failed to load resource|ERR_/);
		await logIn(page, stand);
		await named(page, 'action-pause').click();
		await named(page, 'field-note').fill('typed before the cut');
		await named(page, 'dialog-plan').waitFor();
		await stand.ask('cut');
		await named(page, 'dialog-confirm').click();
		await named(page, 'dialog').getByRole('alert').waitFor();
		assert.equal(await named(page, 'field-note').inputValue(), 'typed before the cut');
		await stand.ask('mend');
		await named(page, 'field-note').press('End');
		await page.keyboard.type('!');
		await until(() => named(page, 'dialog-confirm').isEnabled(), 'it can be confirmed');
		await named(page, 'dialog-confirm').click();
		await named(page, 'dialog').waitFor({ state: 'detached' });
		assert.equal(await stand.value('SELECT note FROM backfill_control WHERE paused'), 'typed before the cut!');
		await stand.post('/api/internal/resume');
	});
});

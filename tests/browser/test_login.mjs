/*
 * The login: nothing is asked or shown before it, a wrong secret opens nothing, the right one goes nowhere but into a header
 * and this tab's storage, and Lock forgets all.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, logIn, goTo, settled } from './lib/browser.mjs';
import { Stand, until, pause } from './lib/stand.mjs';

const VIEWS = ['#/', '#/month/2024-12', '#/providers', '#/queue', '#/alerts', '#/instances', '#/audit'];
let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open(), launch()]);
	await stand.seed(2024, 2024);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* Neither a month nor a figure is on the page, and the form is. */
async function nothingShown(page) {
	await named(page, 'login-secret').waitFor();
	assert.equal(await page.locator('[data-month]').count(), 0);
	assert.equal(await named(page, 'banner').count(), 0);
	assert.equal(await named(page, 'percent').count(), 0);
	assert.doesNotMatch(await page.locator('body').innerText(), /2024|pending|completed/i);
}

/* Without the secret no view asks for data, not even the one that the address names. */
test('nothing is asked or shown before the login', async () => {
	await withPage(browser, stand, async (page, watch) => {
		for (const hash of VIEWS) {
			await page.goto(`/${hash}`);
			await nothingShown(page);
		}
		await pause(300);
		assert.deepEqual(watch.data(), []);
	});
});

/* A wrong secret costs one refused request, says so, and opens nothing; the right one then does. */
test('a wrong secret is refused', async () => {
	await withPage(browser, stand, async (page, watch) => {
		watch.expect(/status of 401/);
		await page.goto('/');
		await named(page, 'login-secret').fill('not the secret');
		await named(page, 'login-submit').click();
		await page.getByRole('alert').filter({ hasText: /\S/ }).waitFor();
		await nothingShown(page);
		assert.deepEqual(watch.data().map(r => r.path), ['/api/internal/overview']);
		assert.deepEqual(await page.evaluate(() => [sessionStorage.length, localStorage.length]), [0, 0]);
		await named(page, 'login-secret').fill(stand.secret);
		await named(page, 'login-submit').click();
		await page.waitForFunction(() => document.querySelectorAll('[data-month]').length === 12);
	});
});

/* Whatever view is opened, the secret is in no address, cookie, local storage, body or node. */
test('the secret goes into a header and nowhere else', async () => {
	await withPage(browser, stand, async (page, watch) => {
		await logIn(page, stand, { name: 'Olga Öresund' });
		for (const hash of VIEWS) {
			await goTo(page, hash);
			const kept = await page.evaluate(() => [document.documentElement.outerHTML, location.href, document.cookie,
				JSON.stringify(localStorage), JSON.stringify(history.state), name,
				...[...document.querySelectorAll('input')].map(i => i.value)].join('\n'));
			assert.ok(!kept.includes(stand.secret), `the secret is visible in ${hash}`);
		}
		assert.deepEqual(await page.context().cookies(), []);
		for (const { url, headers, body } of watch.requests) {
			assert.ok(!url.includes(stand.secret), `the secret is in ${url}`);
			assert.ok(!(body ?? '').includes(stand.secret), `the secret is in the body of ${url}`);
			const { 'x-cron-secret': sent, ...others } = headers;
			assert.equal(sent, new URL(url).pathname.startsWith('/api/') ? stand.secret : undefined, url);
			assert.ok(!JSON.stringify(others).includes(stand.secret), `another header of ${url} has the secret`);
		}
	});
});

/* A reload stays in the seat, another tab does not get in. */
test('the tab keeps the secret, another tab has to ask', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand);
		await page.reload();
		await named(page, 'banner').waitFor();
		const other = await page.context().newPage();
		await other.goto('/');
		await nothingShown(other);
	});
});

/* After Lock the tab holds nothing: no storage, no data, no request, nothing to go back to. */
test('lock forgets everything', async () => {
	await withPage(browser, stand, async (page, watch) => {
		await logIn(page, stand);
		await goTo(page, '#/month/2024-12');
		await goTo(page, '#/');
		await named(page, 'action-schedule').click();
		await named(page, 'dialog').waitFor();
		await page.keyboard.press('Escape');
		await named(page, 'lock').click();
		await nothingShown(page);
		assert.deepEqual(await page.evaluate(() => [sessionStorage.length, localStorage.length]), [0, 0]);
		const before = watch.data().length;
		await page.goBack();
		await nothingShown(page);
		await page.reload();
		await nothingShown(page);
		await pause(300);
		assert.equal(watch.data().length, before);
	});
});

/* The name given at the login is in the audit of what was done. */
test('the name of the login is in the audit', async () => {
	await withPage(browser, stand, async page => {
		await logIn(page, stand, { name: 'Olga Öresund' });
		await named(page, 'action-pause').click();
		await named(page, 'dialog-confirm').click();
		await named(page, 'action-resume').waitFor();
		await named(page, 'action-resume').click();
		await named(page, 'dialog-confirm').click();
		await named(page, 'action-pause').waitFor();
		await until(async () => (await stand.get('/api/internal/audit?operator=Olga%20%C3%96resund')).audit.length === 2,
			'two calls by Olga in the audit');
		await goTo(page, '#/audit');
		await settled(page);
		assert.match(await page.locator('main').innerText(), /Olga Öresund/);
	});
});

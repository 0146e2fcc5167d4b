/*
 * The whole by keyboard: login, grid, months, dialogs; the focus is always somewhere sensible and can be seen.
 */
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { launch, withPage, named, cell, settled } from './lib/browser.mjs';
import { Stand } from './lib/stand.mjs';

let stand, browser;

before(async () => {
	[stand, browser] = await Promise.all([Stand.open(), launch()]);
	await stand.seed(2015, 2024);
});

after(async () => {
	await browser?.close();
	await stand?.close();
});

/* Logs in without a mouse. */
async function typeIn(page) {
	await page.goto('/');
	await named(page, 'login-secret').waitFor();
	assert.equal(await focused(page), 'login-secret', 'the field has the focus');
	await page.keyboard.type(stand.secret);
	await page.keyboard.press('Enter');
	await cell(page, '2024-12').waitFor();
}

/* What has the focus: its test name or its month. */
function focused(page) {
	return page.evaluate(() => document.activeElement.dataset.month ?? document.activeElement.dataset.test ??
		document.activeElement.tagName);
}

/* Presses Tab until something has the focus; how often that took. */
async function tabTo(page, name, most = 60) {
	for (let i = 1; i <= most; i++) {
		await page.keyboard.press('Tab');
		if (await focused(page) === name)
			return i;
	}
	throw new Error(`${most} times Tab did not reach ${name}`);
}

/* Arrows, Home, End, Page Up and Down go where they should, and stop at the edges. */
test('the grid by its keys', async () => {
	await withPage(browser, stand, async page => {
		await typeIn(page);
		await tabTo(page, '2024-12');
		for (const [key, where] of [['ArrowLeft', '2024-11'], ['ArrowDown', '2023-11'], ['ArrowRight', '2023-12'],
			['ArrowRight', '2023-12'], ['ArrowUp', '2024-12'], ['ArrowUp', '2024-12'], ['Home', '2024-01'],
			['ArrowLeft', '2024-01'], ['End', '2024-12'], ['PageDown', '2015-12'], ['ArrowDown', '2015-12'],
			['Control+Home', '2024-01'], ['Control+End', '2015-12'], ['PageUp', '2024-12']]) {
			await page.keyboard.press(key);
			assert.equal(await focused(page), where, key);
		}
		assert.equal(await page.locator('[data-test="grid"] [tabindex="0"]').count(), 1, 'one cell is in the tab order');
	});
});

/* Enter opens the month, its heading gets the focus; going back leads to the same cell. */
test('Enter opens a month and Back returns', async () => {
	await withPage(browser, stand, async page => {
		await typeIn(page);
		await tabTo(page, '2024-12');
		await page.keyboard.press('ArrowLeft');
		await page.keyboard.press('Enter');
		await named(page, 'month-why').waitFor();
		assert.match(page.url(), /#\/month\/2024-11$/);
		assert.equal(await focused(page), 'month-title');
		await page.goBack();
		await cell(page, '2024-11').waitFor();
		assert.notEqual(await focused(page), 'BODY', 'the focus is not lost');
	});
});

/* A dialog holds the focus, Escape closes it, and the button that opened it has the focus again. */
test('dialogs by keyboard', async () => {
	await withPage(browser, stand, async page => {
		await typeIn(page);
		for (const name of ['action-schedule', 'action-retry', 'action-pause']) {
			await named(page, name).focus();
			await page.keyboard.press('Enter');
			await named(page, 'dialog').waitFor();
			await named(page, 'dialog-plan').waitFor();
			for (let i = 0; i < 12; i++) {
				await page.keyboard.press('Tab');
				assert.ok(await page.evaluate(() => document.activeElement === document.body ||
					document.activeElement.closest('dialog') !== null), `${name}: Tab stays in the dialog`);
			}
			await page.keyboard.press('Escape');
			await named(page, 'dialog').waitFor({ state: 'detached' });
			assert.equal(await focused(page), name, 'the focus is back');
		}
	});
});

/* Whatever gets the focus shows it. */
test('the focus can be seen', async () => {
	await withPage(browser, stand, async page => {
		await typeIn(page);
		await page.keyboard.press('Control+Home');
		for (let i = 0; i < 25; i++) {
			await page.keyboard.press('Tab');
			const shown = await page.evaluate(() => {
				const node = document.activeElement, style = getComputedStyle(node);
				return node === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) ||
					style.boxShadow !== 'none' ? null : node.outerHTML.slice(0, 120);
			});
			assert.equal(shown, null, 'this has the focus and does not show it');
		}
	});
});

/* The skip link leads past the header without changing the view. */
test('the skip link', async () => {
	await withPage(browser, stand, async page => {
		await typeIn(page);
		await page.evaluate(() => document.activeElement.blur());
		await page.locator('#skip').focus();
		await page.keyboard.press('Enter');
		assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
		await settled(page);
		await cell(page, '2024-12').waitFor();
	});
});

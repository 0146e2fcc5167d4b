/*
 * browser: Debian's Chromium, headless, for one file of tests. A page is watched from its first moment: any word on the
 * console that is an error, a script that fails, a breach of the content security policy or a request to anywhere but the
 * daemon fails the test that opened it.
 */
import assert from 'node:assert/strict';
import { readFileSync, mkdirSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../npm/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = fileURLToPath(new URL('../../../build/screenshots/', import.meta.url));
const CHROMIUM = process.env.BF_CHROMIUM ?? '/usr/bin/chromium';
const TIMEOUT_MS = 15000;

/* No address leads anywhere but to loopback (an interception in Playwright would switch the cache off); nothing is fetched on
 * the browser's own account. */
function flags() {
	return ['--disable-gpu', '--disable-dev-shm-usage', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
		'--no-proxy-server', '--disable-background-networking', '--disable-component-update', '--disable-sync',
		'--disable-domain-reliability', '--no-pings'];
}

/* Starts Chromium, with its sandbox unless it refuses that, as root; .close() ends it with its profile. */
export async function launch() {
	assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is not there: tools/setup`);
	return chromium.launch({ executablePath: CHROMIUM, headless: true, args: flags(), chromiumSandbox: process.getuid() !== 0 });
}

/* What a page did that it should not have; expected(pattern) names what a test provokes. */
class Watch {
	#found = [];
	#expected = [];
	requests = [];

	constructor(page, origin) {
		page.on('console', message => {
			if (message.type() === 'error' || message.type() === 'warning')
				this.#found.push(`console ${message.type()}: ${message.text()} (${message.location().url})`);
		});
		page.on('pageerror', error => this.#found.push(`script: ${error.stack ?? error}`));
		page.on('request', request => {
			const url = new URL(request.url());
			this.requests.push({ method: request.method(), path: url.pathname + url.search, url: request.url(),
				headers: request.headers(), body: request.postData() });
			if (url.protocol !== 'data:' && url.origin !== origin)
				this.#found.push(`a request to ${request.url()}`);
		});
	}

	expect(pattern) {
		this.#expected.push(pattern);
	}

	/* Requests for data, in order. */
	data() {
		return this.requests.filter(r => r.path.startsWith('/api/'));
	}

	check() {
		const bad = this.#found.filter(line => !this.#expected.some(pattern => pattern.test(line)));
		assert.deepEqual(bad, [], 'the page reported these');
	}
}

/* Runs body(page, watch) with a fresh context on the stand; options are those of a Playwright context. */
export async function withPage(browser, stand, body, options = {}) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB',
		timezoneId: 'UTC', reducedMotion: 'reduce', baseURL: stand.url, ...options });
	context.setDefaultTimeout(TIMEOUT_MS);
	try {
		const page = await context.newPage();
		const watch = new Watch(page, stand.url);
		await body(page, watch);
		watch.check();
	} finally {
		await context.close();
	}
}

/* A node by the name the tests know it by. */
export function named(page, name) {
	return page.locator(`[data-test="${name}"]`);
}

/* Opens the page and logs in. hash: the view to open. */
export async function logIn(page, stand, { hash = '', name = '' } = {}) {
	await page.goto(`/${hash}`);
	await named(page, 'login-secret').fill(stand.secret);
	if (name)
		await named(page, 'login-name').fill(name);
	await named(page, 'login-submit').click();
	await named(page, 'banner').waitFor();
}

/* Goes to a view by its address, and waits for its heading. */
export async function goTo(page, hash) {
	await page.evaluate(h => { location.hash = h; }, hash);
	await page.locator('main h1').first().waitFor();
	await settled(page);
}

/* Until no request for data has been under way for a moment; the stream of events never ends and does not count. */
export async function settled(page, ms = 250) {
	await page.waitForFunction(quiet => {
		const entries = performance.getEntriesByType('resource');
		const last = Math.max(0, ...entries.map(e => e.responseEnd));
		const now = performance.now();
		globalThis.bfSeen ??= { n: entries.length, at: now };
		if (globalThis.bfSeen.n !== entries.length)
			globalThis.bfSeen = { n: entries.length, at: now };
		return now - Math.max(last, globalThis.bfSeen.at) > quiet;
	}, ms);
	await page.evaluate(() => { delete globalThis.bfSeen; });
}

/* A month's cell. */
export function cell(page, month) {
	return page.locator(`[data-month="${month}"]`);
}

/* {status: how many cells}. */
export function cellStatuses(page) {
	return page.$$eval('[data-test="grid"] [data-month]', cells => {
		const found = {};
		for (const one of cells)
			found[one.dataset.status] = (found[one.dataset.status] ?? 0) + 1;
		return found;
	});
}

/* The first number of a node's text: "1,234 left" is 1234. */
export async function number(locator) {
	const text = await locator.innerText();
	const found = text.replaceAll(/[,\u202f\u00a0]/g, '').match(/-?\d+(\.\d+)?/);
	assert.ok(found, `no number in ${JSON.stringify(text)}`);
	return Number(found[0]);
}

/* Serious and critical findings of axe-core, shortened to what names the culprit. within: a selector; rules: only these. */
export async function axe(page, { within = 'html', rules = null } = {}) {
	if (!await page.evaluate(() => Boolean(globalThis.axe))) {
		/* the browser's debugger puts it in: the page's policy lets nobody else */
		const session = await page.context().newCDPSession(page);
		await session.send('Runtime.evaluate', { expression: AXE, silent: true });
		await session.detach();
	}
	const runOnly = rules ? { type: 'rule', values: rules } :
		{ type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
	const found = await page.evaluate(([where, only]) => globalThis.axe.run(where, { resultTypes: ['violations'],
		runOnly: only }), [within, runOnly]);
	return found.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v =>
		`${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => `${n.target} ${n.failureSummary}`).join(' | ')}`);
}

/* What makes the page wider than the window, or is cut off beside it. What scrolls inside a box of its own is fine. */
export function overflow(page) {
	return page.evaluate(() => {
		const found = [];
		const wide = document.documentElement;
		if (wide.scrollWidth > wide.clientWidth)
			found.push(`the document: ${wide.scrollWidth} in ${wide.clientWidth}`);
		/* whether an ancestor lets its content be scrolled to, or means to hide it from sight */
		const inside = node => {
			for (let at = node.parentElement; at && at !== document.body; at = at.parentElement) {
				const style = getComputedStyle(at);
				if (['auto', 'scroll'].includes(style.overflowX) || style.clipPath !== 'none' ||
					(style.position === 'absolute' && at.clientWidth <= 1))
					return true;
			}
			return false;
		};
		for (const node of document.body.querySelectorAll('*')) {
			const box = node.getBoundingClientRect();
			const style = getComputedStyle(node);
			if (box.width <= 1 || box.height <= 1 || style.visibility === 'hidden' || inside(node))
				continue;
			if (node.closest('.skip'))	/* comes into sight with the focus */
				continue;
			if (box.right > wide.clientWidth + 1 || box.left < -1)
				found.push(`${node.tagName}.${node.className}: ${Math.round(box.left)}..${Math.round(box.right)}`);
		}
		return found.slice(0, 10);
	});
}

/* Writes build/screenshots/NAME.png. */
export async function shot(page, name) {
	mkdirSync(SHOTS, { recursive: true });
	await page.screenshot({ path: `${SHOTS}${name}.png`, animations: 'disabled' });
}

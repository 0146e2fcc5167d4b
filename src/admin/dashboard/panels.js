/*
 * panels: what the pages have in common. Painting again keeps the reader's place, focus, folds and filters.
 */
import { el, fmt, table, monthKey } from './dom.js';

const NAMES = { gemini: 'Gemini', xai: 'Grok', isbndb: 'ISBNdb', google_books: 'Google Books',
	open_library: 'Open Library', archive_org: 'Archive.org', wikidata: 'Wikidata' };
const TIME = /(\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;
const SHAPES = { good: '●', warn: '▲', bad: '■', busy: '◐', quiet: '○' };
const SOON_MS = 400;
const PAGE = 50;

export const PROVIDERS = Object.keys(NAMES);
export const who = name => NAMES[name] ?? cut(name, 40);

export function cut(text, most = 240) {
	const chars = [...String(text ?? '')];
	return chars.length > most ? `${chars.slice(0, most - 1).join('')}…` : chars.join('');
}

export const words = (text, most = 40) => cut(text, most).replaceAll('_', ' ');
export const muted = (...content) => el('span', { class: 'muted' }, content);
export const bold = text => el('b', { text });
export const para = (...content) => el('p', {}, content);
/* A title or a name: its direction must not turn what stands around it. */
export const bdi = (text, most) => el('bdi', { text: cut(text, most) });

/* A sentence of the server's, its times as the reader's. */
export function prose(text, most = 700) {
	return el('bdi', {}, cut(text, most).split(TIME).map((part, i) => i % 2 ? fmt.time(part) : part));
}

export const when = (time, now) => time ? [fmt.time(time), muted(` (${fmt.ago(time, now)})`)] : fmt.none;

export function monthLink(year, month) {
	return year ? el('a', { href: `#/month/${monthKey(year, month)}`, text: fmt.month(year, month) }) : fmt.none;
}

export function bookLink(key, text = cut(key, 60)) {
	return key ? el('a', { href: `#/book/${encodeURIComponent(key)}`, dataset: { k: `${key} ${text}` } },
		bdi(text)) : fmt.none;
}

/* [term, value, data-test]s; null ones are left out. */
export function facts(pairs, classes = 'figures') {
	return el('dl', { class: classes }, pairs.filter(Boolean).map(([term, value, test]) => el('div', {},
		el('dt', { text: term }), el('dd', { dataset: test ? { test } : {} }, value ?? fmt.none))));
}

/* A word with a shape, for those to whom colour says nothing. */
export function badge(kind, text) {
	return el('span', { class: `v-badge v-${kind}` }, el('span', { 'aria-hidden': true, text: SHAPES[kind] }),
		` ${text}`);
}

export function button(text, click, test, more = {}) {
	return el('button', { type: 'button', text, on: { click }, dataset: { test, k: test }, ...more });
}

export function section(heading, test, ...content) {
	return el('section', { class: 'v-part', dataset: test ? { test } : {} }, el('h2', { text: heading }), content);
}

export function fold(k, summary, content, open = false) {
	return el('details', { open, dataset: { k } }, el('summary', { dataset: { k: `${k}s` } }, summary), content);
}

/* A table; # before a heading makes its column one of numbers. */
export function grid(caption, heads, rows, empty) {
	return table(caption, heads.map(h => h[0] === '#' ? { text: h.slice(1), num: true } : h), rows,
		{ hideCaption: true, empty });
}

export function tags(items) {
	return el('ul', { class: 'v-tags' }, items.map(item => el('li', {}, item)));
}

export function field(label, input) {
	return el('label', { class: 'v-field' }, el('span', { text: label }), input);
}

export function select(options, props) {
	return el('select', props, options.map(([value, text]) => el('option', { value, text })));
}

/* New content for a region; focus, folds and scrolling stay. */
export function repaint(region, ...content) {
	const key = region.contains(document.activeElement) ? document.activeElement.dataset.k : null;
	const folds = new Map([...region.querySelectorAll('details')].map(d => [d.dataset.k, d.open]));
	const scrolled = [...region.querySelectorAll('.scroll')].map(s => s.scrollLeft);
	const y = region.hasChildNodes() ? window.scrollY : null;
	const fresh = el('div', {}, content);
	for (const d of fresh.querySelectorAll('details'))
		d.open = folds.get(d.dataset.k) ?? d.open;
	region.replaceChildren(...fresh.childNodes);
	region.querySelectorAll('.scroll').forEach((s, i) => { s.scrollLeft = scrolled[i] ?? 0; });
	if (key)
		region.querySelector(`[data-k="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
	if (y !== null)
		window.scrollTo(window.scrollX, y);
}

/* One read at a time; soon() gathers what comes together. */
export function reader(read, paint, fail) {
	const state = { busy: false, again: false, closed: false, timer: 0 };
	const soon = () => {
		if (!state.closed && !state.timer)
			state.timer = setTimeout(now, SOON_MS);
	};
	const now = async () => {
		clearTimeout(state.timer);
		state.timer = 0;
		state.again = state.busy;
		if (state.busy)
			return;
		state.busy = true;
		let answer, problem = null;
		try {
			answer = await read();
		} catch (error) {
			problem = error;
		}
		state.busy = false;
		if (state.closed)
			return;
		if (problem)
			fail(problem);
		else
			paint(answer);
		if (state.again)
			soon();
	};
	return { now, soon, close() {
		state.closed = true;
		clearTimeout(state.timer);
	} };
}

export function failure(error, again) {
	return el('p', { class: 'v-note', role: 'alert' }, badge('bad', cut(error.message, 300)), ' ',
		again ? button('Try again', again, 'again') : null);
}

export function page(ctx, title, { head, read = null, paint, steady = false }) {
	const body = el('div', { class: 'v-body' }, muted('Reading…')), note = el('div');
	const node = el('div', { class: 'v-page' }, el('div', { class: 'v-head' }, el('h1', { text: title }), head), note, body);
	const show = answer => {
		note.replaceChildren();
		repaint(body, paint(answer, ctx.overview()?.now));
	};
	if (!read)
		return { node, title, update: show };
	const r = reader(read, show, error => note.replaceChildren(failure(error, r.now)));
	r.now();
	return { node, title, again: r.now, update: () => steady || r.soon(), close: r.close };
}

/* A long list, read page by page. */
export function listing({ path, items, cursor, filters, draw }) {
	const state = { list: [], next: null };
	const out = el('div', { class: 'v-body' }, muted('Reading…'));
	const ask = extra => {
		const q = new URLSearchParams({ limit: PAGE, ...extra });
		for (const [name, { value }] of Object.entries(filters))
			if (value.trim())
				q.set(name, value.trim());
		return path(q);
	};
	const show = (answer, more) => {
		state.list = more ? [...state.list, ...answer[items]] : answer[items];
		state.next = answer.next;
		repaint(out, draw(answer, state.list), state.next ? button('More', older, 'more') : null);
	};
	const fail = error => out.prepend(failure(error, r.now));
	const older = () => ask({ [cursor]: state.next }).then(answer => show(answer, true), fail);
	/* not below the first page: it would be lost */
	const r = reader(() => ask({}), answer => state.list.length <= PAGE && show(answer, false), fail);
	for (const input of Object.values(filters))
		input.addEventListener('input', () => { state.list = []; r.soon(); });
	r.now();
	return { ...r, node: out };
}

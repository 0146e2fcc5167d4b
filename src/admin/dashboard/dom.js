/*
 * dom: builds nodes, never markup, so that a title from outside stays text; and the words, marks and numbers that every
 * view writes alike.
 */

const DASH = '–';

/* Appends children: nodes, strings, numbers, arrays of them; null and false are nothing. */
function append(node, children) {
	for (const child of children) {
		if (Array.isArray(child))
			append(node, child);
		else if (child !== null && child !== undefined && child !== false)
			node.append(child instanceof Node ? child : String(child));
	}
}

/* One property of el(): class, text, on {event: fn}, dataset {name: text}, value and checked as properties, and any other
 * as an attribute; null and false leave it out, true sets it empty. */
function setProp(node, name, value) {
	if (name === 'on')
		for (const [event, fn] of Object.entries(value))
			node.addEventListener(event, fn);
	else if (name === 'dataset')
		Object.assign(node.dataset, value);
	else if (name === 'text')
		node.textContent = value;
	else if (name === 'value' || name === 'checked')
		node[name] = value;
	else if (name.startsWith('aria-') && typeof value === 'boolean')
		node.setAttribute(name, String(value));
	else if (value !== null && value !== undefined && value !== false)
		node.setAttribute(name, value === true ? '' : value);
}

/* A node: el('p', {class: 'muted'}, 'text', el('b', {text: '1'})). */
export function el(tag, props = {}, ...children) {
	const node = document.createElement(tag);
	let late = null;
	for (const [name, value] of Object.entries(props ?? {})) {
		if (name === 'value')
			late = value;
		else
			setProp(node, name, value);
	}
	append(node, children);
	/* a select knows its value only once it has its options */
	if (late !== null && late !== undefined)
		node.value = late;
	return node;
}

/* Removes all children. */
export function clear(node) {
	node.replaceChildren();
	return node;
}

/* Sets a text only when it differs: what reads the page aloud hears changes only. */
export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

const intFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const pctFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });
const timeFormat = new Intl.DateTimeFormat(undefined,
	{ dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September',
	'October', 'November', 'December'];
const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];

/* Whether there is a number at all. */
function known(x) {
	return typeof x === 'number' && Number.isFinite(x);
}

/* The two largest units: "1 h 30 min". */
function duration(seconds) {
	if (!known(seconds))
		return DASH;
	let rest = Math.max(0, Math.round(seconds));
	if (rest < 1)
		return '0 s';
	const at = UNITS.findIndex(([size]) => rest >= size);
	const parts = [];
	for (const [size, name] of UNITS.slice(at, at + 2)) {
		const n = Math.floor(rest / size);
		rest -= n * size;
		if (n > 0)
			parts.push(`${n} ${name}`);
	}
	return parts.join(' ');
}

/* Dollars; small sums keep two significant digits. */
function usd(x) {
	if (!known(x))
		return DASH;
	if (x !== 0 && Math.abs(x) < 0.1)
		return `$${Number(x.toPrecision(2)).toFixed(Math.min(6, 1 - Math.floor(Math.log10(Math.abs(x)))))}`;
	return `$${x.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/* How long before now (a time, Date or milliseconds); "in 5 min" for what comes. */
function ago(when, now = Date.now()) {
	if (!when)
		return 'never';
	const seconds = (new Date(now) - new Date(when)) / 1000;
	if (Math.abs(seconds) < 1)
		return 'now';
	return seconds < 0 ? `in ${duration(-seconds)}` : `${duration(seconds)} ago`;
}

/* A <time> in the reader's own zone, with UTC as its title. */
function time(when) {
	const date = new Date(when ?? NaN);
	if (!when || Number.isNaN(date.getTime()))
		return el('span', { class: 'muted', text: DASH });
	const utc = date.toISOString();
	return el('time', { datetime: utc, title: `${utc.slice(0, 19).replace('T', ' ')} UTC`,
		text: timeFormat.format(date) });
}

export const fmt = {
	none: DASH,
	int: x => known(x) ? intFormat.format(x) : DASH,
	pct: x => known(x) ? `${pctFormat.format(x)} %` : DASH,
	usd,
	ms: x => !known(x) ? DASH : x < 1000 ? `${Math.round(x)} ms` : `${(x / 1000).toFixed(1)} s`,
	duration,
	time,
	ago,
	month: (year, month) => `${MONTHS[month - 1]} ${year}`,
	monthName: month => MONTHS[month - 1],
	count: (n, one, many = `${one}s`) => `${intFormat.format(n)} ${n === 1 ? one : many}`
};

/* The five states of a month, in the order of the legend. */
export const STATUS = {
	completed: { letter: 'C', name: 'completed', shape: 'filled, round' },
	processing: { letter: 'P', name: 'processing', shape: 'striped' },
	retry: { letter: 'R', name: 'waiting for a retry', shape: 'cut corner' },
	failed: { letter: 'F', name: 'failed', shape: 'filled, square' },
	pending: { letter: '·', name: 'pending', shape: 'outlined' }
};

/* A state as a mark: letter, shape and colour, its name for those who don't see it, or for all with {name: true}. */
export function statusMark(status, { name = false } = {}) {
	const state = STATUS[status];
	const text = state?.name ?? String(status);
	return el('span', { class: 'status', title: text },
		el('span', { class: 'mark', dataset: { status }, 'aria-hidden': true, text: state?.letter ?? '?' }),
		el('span', { class: name ? 'status-name' : 'sr', text }));
}

/* A table that scrolls inside itself. A heading is a text or {text, num: true} (aligned right); a cell a text, a number or a
 * node; the first cell of a row is its header. */
export function table(caption, headings, rows, { hideCaption = false, empty = 'Nothing here.' } = {}) {
	const heads = headings.map(h => typeof h === 'string' ? { text: h } : h);
	const cell = (content, i) => el(i === 0 ? 'th' : 'td',
		{ class: heads[i]?.num ? 'num' : null, scope: i === 0 ? 'row' : null }, content ?? DASH);
	const body = rows.length > 0 ? rows.map(row => el('tr', {}, row.map(cell))) :
		el('tr', {}, el('td', { class: 'muted', colspan: heads.length, text: empty }));
	return el('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': caption },
		el('table', { class: 'data' },
			el('caption', { class: hideCaption ? 'sr' : null, text: caption }),
			el('thead', {}, el('tr', {}, heads.map(h =>
				el('th', { scope: 'col', class: h.num ? 'num' : null, text: h.text })))),
			el('tbody', {}, body)));
}

const decoded = new WeakMap();

/* The months of an overview as objects, newest first; made once for each overview. */
export function monthsOf(overview) {
	if (!overview)
		return [];
	let list = decoded.get(overview);
	if (!list) {
		const { columns, rows } = overview.months;
		list = rows.map(row => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
		decoded.set(overview, list);
	}
	return list;
}

/* "2024-12": how the page names a month in addresses and attributes. */
export function monthKey(year, month) {
	return `${year}-${String(month).padStart(2, '0')}`;
}

/*
 * layers: what the grid of months can show. A layer turns a month into a step of a scale (0 to 6, null where nothing is
 * known), a few characters for the cell and a sentence for those who listen.
 */
import { fmt, STATUS } from './dom.js';

export const STEPS = 7;
const STAGES = { claimed: 'next', generating: 'ask', saving: 'save', resolving: 'find', queueing: 'queue' };

/* Which step a value falls into, given the steps' lower ends but the first. */
function stepOf(value, edges) {
	let step = 0;
	while (step < edges.length && value >= edges[step])
		step++;
	return step;
}

/* A round step width so that seven of them reach the highest value. */
function niceStep(highest, least) {
	const raw = Math.max(highest / STEPS, least);
	const power = 10 ** Math.floor(Math.log10(raw));
	return [1, 2, 2.5, 5, 10].map(n => n * power).find(n => n >= raw * 0.999);
}

/* Seven equal steps up to the highest value of all months. */
function evenEdges(months, name, least) {
	const step = niceStep(Math.max(0, ...months.map(m => m[name] ?? 0)), least);
	return Array.from({ length: STEPS - 1 }, (_, i) => (i + 1) * step);
}

/* A layer of numbers: edges(months) are the scale, show(value) is for the cell, say(value) for the sentence. */
function numbers({ id, name, meaning, value, edges, show, say, ends }) {
	return {
		id, name, meaning,
		prepare: edges,
		step: (m, scale, now) => {
			const x = value(m, now);
			return x === null || x === undefined ? null : stepOf(x, scale);
		},
		cell: (m, now) => {
			const x = value(m, now);
			return x === null || x === undefined ? '' : show(x);
		},
		sentence: (m, now) => {
			const x = value(m, now);
			return x === null || x === undefined ? `${name.toLowerCase()} unknown` : say(x);
		},
		ticks: scale => ends(scale)
	};
}

/* The words under the scale: the lower end of each step. */
function ticks(first, scale, write) {
	return [first, ...scale.map(write)];
}

const ended = m => m.status === 'completed' || m.status === 'failed';
const compactUsd = x => x === 0 ? '0' : x < 0.995 ? `${(x * 100).toFixed(x < 0.0995 ? 1 : 0)}¢` : `$${x.toFixed(1)}`;
const plain = x => Number(x.toPrecision(3)).toLocaleString('en-US');

/* Short ages: "3 h". */
function shortAge(seconds) {
	const [size, unit] = [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']].find(([s]) => seconds >= s) ?? [1, 's'];
	return `${Math.floor(seconds / size)}${unit}`;
}

export const LAYERS = [
	{
		id: 'status', name: 'Status', meaning: 'What each month is doing; in flight also at which stage.',
		prepare: () => [], step: () => null,
		cell: m => m.status === 'processing' ? STAGES[m.stage] ?? '' : '',
		sentence: m => m.status === 'processing' && m.stage ? `stage ${m.stage}` : '',
		ticks: () => []
	},
	numbers({ id: 'rate', name: 'Resolution rate', meaning: 'Share of a month’s books that an ISBN was found for.',
		value: m => m.rate, edges: () => [40, 60, 70, 80, 90, 95],
		show: x => String(Math.round(x)), say: x => `${fmt.pct(x)} resolved`,
		ends: s => ticks('0 %', s, x => String(x)) }),
	numbers({ id: 'books', name: 'Books', meaning: 'Books that the AIs named and that were kept.',
		value: m => ended(m) || m.books > 0 ? m.books : null, edges: months => evenEdges(months, 'books', 1),
		show: x => String(x), say: x => fmt.count(x, 'book'), ends: s => ticks('0', s, plain) }),
	numbers({ id: 'cost', name: 'Cost', meaning: 'What the AIs’ answers for the month cost, in US dollars.',
		value: m => ended(m) || m.cost_usd > 0 ? m.cost_usd : null, edges: months => evenEdges(months, 'cost_usd', 1e-6),
		show: compactUsd, say: x => `${fmt.usd(x)} spent`, ends: s => ticks('0', s, compactUsd) }),
	numbers({ id: 'attempts', name: 'Failed attempts', meaning: 'How often a month had to be tried again; five end it.',
		value: m => m.retry_count, edges: () => [1, 2, 3, 4, 5, 6],
		show: x => x > 0 ? String(x) : '', say: x => fmt.count(x, 'failed attempt'),
		ends: s => ticks('0', s.slice(0, 5), String).concat('6+') }),
	numbers({ id: 'agreement', name: 'Agreement of the AIs', meaning: 'Share of the books that both AIs named, each by itself.',
		value: m => m.agreement, edges: () => [10, 20, 30, 40, 55, 70],
		show: x => String(Math.round(x)), say: x => `both AIs named ${fmt.pct(x)}`,
		ends: s => ticks('0 %', s, String) }),
	numbers({ id: 'age', name: 'Age', meaning: 'Time since something last happened to the month; darker is longer ago.',
		value: (m, now) => m.at === null ? null : Math.max(0, now - m.at),
		edges: () => [600, 3600, 21600, 86400, 604800, 2592000],
		show: shortAge, say: x => `last moved ${fmt.duration(x)} ago`,
		ends: s => ticks('now', s, shortAge) })
];

/* What a month is, in one sentence. */
export function sentence(m, layer, now) {
	const parts = [STATUS[m.status]?.name ?? m.status];
	if (m.status === 'processing' && m.stage && layer.id !== 'status')
		parts.push(`stage ${m.stage}`);
	if (m.rate !== null)
		parts.push(`${fmt.int(m.isbns)} of ${fmt.count(m.books, 'ISBN')}`, fmt.pct(m.rate));
	else if (m.books > 0)
		parts.push(fmt.count(m.books, 'book'));
	const more = layer.id === 'rate' && m.rate !== null ? '' : layer.sentence(m, now);
	if (more)
		parts.push(more);
	return `${fmt.month(m.year, m.month)}: ${parts.join(', ')}`;
}

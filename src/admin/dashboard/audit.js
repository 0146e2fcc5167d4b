/*
 * audit: who changed what and what came of it, newest first.
 */
import { el, fmt } from './dom.js';
import { badge, bdi, cut, field, grid, listing, muted } from './panels.js';

function row(a) {
	return [fmt.time(a.at), [a.operator ? bdi(a.operator, 60) : muted('no name'), el('br'), muted(cut(a.address, 60))],
		el('code', {}, `${a.method} ${cut(a.path, 120)}`), a.body ? el('code', { text: cut(JSON.stringify(a.body), 300) }) : fmt.none,
		[badge(a.status < 400 ? 'good' : 'bad', String(a.status)), a.status < 400 ? null : [' ', bdi(a.outcome, 200)]],
		fmt.ms(a.duration_ms)];
}

export function open(ctx) {
	const input = test => el('input', { type: 'search', maxlength: 60, dataset: { test } });
	const filters = { operator: input('audit-operator'), path: input('audit-path') };
	const list = listing({ items: 'audit', cursor: 'before', filters, path: q => ctx.api.get(`/api/internal/audit?${q}`),
		draw: (answer, calls) => grid('Calls that changed something, newest first', ['When', 'Who', 'Call', 'Body', 'Outcome', '#Took'], calls.map(row), 'No call matches.') });
	const node = el('div', { class: 'v-page' }, el('h1', { text: 'Audit' }), el('div', { class: 'v-filters' },
		field('Operator', filters.operator), field('Path begins with', filters.path)), list.node);
	return { node, title: 'Audit', close: list.close, update: () => list.soon() };
}

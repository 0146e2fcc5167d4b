/*
 * queue: what enrichment has before it: counts, why items failed, and the items themselves.
 */
import { el, fmt } from './dom.js';
import { badge, bdi, bold, bookLink, button, cut, facts, field, grid, listing, monthLink, para, prose, muted, repaint, section,
	select, when, who, PROVIDERS } from './panels.js';
import { redrive } from './actions.js';

const { int } = fmt;
const KINDS = { pending: 'quiet', processing: 'busy', completed: 'good', failed: 'bad' };

function row(i, now) {
	return [[bookLink(i.key), i.entity_type === 'work' ? muted(' a work without ISBN') : null],
		badge(KINDS[i.status] ?? 'quiet', cut(i.status, 20)), monthLink(i.year, i.month),
		`${int(i.attempts)} of ${int(i.max_attempts)}`,
		i.error ? prose(i.error, 300) : i.waits_for ? `waits for ${who(i.waits_for)}` :
			(i.providers_attempted ?? []).map(who).join(', ') || fmt.none,
		i.completed_at ? fmt.time(i.completed_at) : i.next_attempt_at ? ['again ', when(i.next_attempt_at, now)] :
			fmt.time(i.started_at ?? i.created_at)];
}

function reasons(list) {
	return list.length > 0 ? section('Why items failed', 'queue-reasons', el('ul', {}, list.slice(0, 10).map(([reason, n]) =>
		el('li', {}, bold(int(n)), ' ', bdi(reason || 'no reason kept', 200))))) : null;
}

export function open(ctx) {
	const filters = { status: select([['', 'any'], ...Object.keys(KINDS).map(s => [s, s])], { dataset: { test: 'queue-status' } }),
		provider: select([['', 'any'], ...PROVIDERS.slice(2).map(p => [p, who(p)])]),
		ym: el('input', { type: 'month', title: 'like 2024-12' }),
		reason: el('input', { type: 'search', maxlength: 200 }) };
	const list = listing({ items: 'items', cursor: 'after', filters, path: q => {
		const [year, month] = (q.get('ym') ?? '').split('-');
		q.delete('ym');
		if (month)
			[['year', year], ['month', Number(month)]].forEach(([name, value]) => q.set(name, value));
		return ctx.api.get(`/api/internal/enrichment?${q}`);
	}, draw: (answer, items) => [reasons(Object.entries(answer.by_reason ?? {})),
		section('Items', 'queue-items', para(muted(`${int(items.length)} of ${fmt.count(answer.total, 'item')}, oldest first`)),
			grid('Items of the queue', ['Book', 'Status', 'Month', 'Failed attempts', 'Said or asked', 'When'],
				items.map(i => row(i, ctx.overview()?.now)), 'No item matches.'))] });
	const top = el('div');
	const node = el('div', { class: 'v-page' }, el('div', { class: 'v-head' }, el('h1', { text: 'Queue' }),
		button('Redrive failed…', () => redrive(ctx).then(done => done && list.now()), 'queue-redrive')), top, el('div', { class: 'v-filters' },
		field('Status', filters.status), field('Provider', filters.provider), field('Month', filters.ym),
		field('Reason contains', filters.reason)), list.node);
	return { node, title: 'Queue', close: list.close, update({ queue: q }) {
		repaint(top, facts([['Pending', int(q.pending)], ['Of them waiting', int(q.waiting)],
			['In work', int(q.processing)], ['Completed', int(q.completed)], ['In 24 hours', int(q.completed_24h)],
			['Failed', int(q.failed)], ['Oldest pending', q.pending > 0 ? fmt.duration(q.oldest_age_s) : fmt.none]]));
		list.soon();
	} };
}

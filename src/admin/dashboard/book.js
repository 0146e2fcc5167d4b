/*
 * book: one book's edition and work, which field came from whom, its item in the queue, and its log.
 */
import { el, fmt } from './dom.js';
import { badge, bdi, bookLink, cut, facts, grid, monthLink, page, prose, section, who, words } from './panels.js';

const LEFT_OUT = /^(metadata|provenance|created_at|updated_at|isbn|work_key)$/;
const text = v => cut(Array.isArray(v) ? v.join(', ') : typeof v === 'object' ? JSON.stringify(v) : v, 400);

function fields(heading, row, provenance) {
	return row ? section(heading, null, grid(heading, ['Field', 'Value', 'From'], Object.entries(row).filter(([name, v]) =>
		!LEFT_OUT.test(name) && v !== null && v !== false && String(v) !== '').map(([name, v]) => [words(name),
		/_sync$/.test(name) ? fmt.time(v) : bdi(text(v), 400), provenance?.[name] ? who(provenance[name].provider) : fmt.none]))) :
		null;
}

function logRow(l) {
	return [fmt.time(l.at), words(l.operation), who(l.provider), l.success ? badge('good', 'ok') : badge('bad', 'failed'),
		l.error ? prose(l.error, 200) : bdi(l.fields_updated?.length > 0 ? l.fields_updated.join(', ').replaceAll('_', ' ') :
			l.detail ? JSON.stringify(l.detail) : fmt.none, 300), fmt.ms(l.response_time_ms)];
}

function paint(b) {
	return [el('p', { class: 'v-headline' }, bdi(b.edition?.title ?? b.work?.title ?? b.named[0]?.title ?? 'Without a title'),
		b.authors.length > 0 ? [' by ', bdi(b.authors.map(a => a.name).join(', '))] : null),
	facts([['ISBN', b.isbn13], ['Work', [cut(b.work_key ?? fmt.none, 80), b.work?.synthetic ? ' (synthetic)' : null]],
		b.merged_into ? ['Merged into', bookLink(b.merged_into)] : null], 'v-inline'),
	section('Named', null, grid('Who named it', ['Month', 'Title', 'By', 'Prompt', 'ISBN from', '#Confidence'],
		b.named.map(n => [monthLink(n.year, n.month), bdi(n.title), n.generated_by.map(who).join(' + '), cut(n.prompt_variant, 40),
			n.resolved_by ? who(n.resolved_by) : words(n.state), fmt.int(n.confidence)]),
		'No month named it: it came along as another edition.')),
	fields('Edition', b.edition, b.provenance?.edition), fields('Work', b.work, b.provenance?.work),
	section('In the queue', null, grid('Queue items', ['Status', 'Failed attempts', 'Asked', 'Said', 'Ended'], b.queue.map(q => [
		cut(q.status, 20), `${q.attempts} of ${q.max_attempts}`, (q.providers_attempted ?? []).map(who).join(', '),
		q.error ? prose(q.error, 200) : q.waits_for ? `waits for ${who(q.waits_for)}` : fmt.none, fmt.time(q.completed_at)]),
	'It was never queued.')),
	section('Log', null, grid('Log', ['When', 'What', 'Provider', 'Outcome', 'Changed', '#Took'], b.log.map(logRow),
		'Nothing was logged.'))];
}

export function open(ctx, key) {
	return page(ctx, `Book ${cut(key, 60)}`, { paint, steady: true,
		read: () => ctx.api.get(`/api/internal/books/${encodeURIComponent(key)}`) });
}

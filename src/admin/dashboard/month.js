/*
 * month: why a month is where it is, who answered what about its titles, and every transition of every attempt.
 */
import { el, fmt, statusMark, monthKey } from './dom.js';
import { badge, bdi, bold, bookLink, button, cut, facts, failure, fold, grid, muted, para, prose, reader, repaint, section,
	when, who, words, PROVIDERS } from './panels.js';
import { monthAction } from './actions.js';

const { int, none } = fmt;
const ALLOWED = { retry: ['retry', 'failed'], reset: ['pending', 'retry', 'failed', 'completed'],
	cancel: ['processing', 'retry'] };
const KINDS = { completed: 'good', failed: 'bad', retry: 'warn', processing: 'busy' };
const MARKS = { hit: '✓', not_found: '–', refused: '≠', failed: '!' };
const BUSY_MS = 5000;

function headline(m, why, now) {
	if (m.status === 'completed')
		return `Done: ${int(m.isbns_resolved)} of ${fmt.count(m.books_generated, 'book')} have an ISBN.`;
	if (m.status === 'processing')
		return `At work, ${m.stage}: ${m.candidates.filter(c => c.state !== 'new').length} of ` +
			`${fmt.count(m.candidates.length, 'book')} looked up.`;
	if (m.status === 'failed')
		return `${m.error_message === 'cancelled' ? 'Cancelled' : 'Failed'}: nothing starts it by itself.`;
	if (!why.earliest_start)
		return 'It can’t start by itself.';
	return [m.status === 'retry' ? 'Its next attempt comes ' : 'It can start ', new Date(why.earliest_start) <= new Date(now) ?
		'as soon as an instance has a free slot.' : when(why.earliest_start, now)];
}

function blocker(b, now) {
	const kind = b.code === 'in_flight' ? 'busy' : !b.binds ? 'quiet' :
		/failed|spent|provider_off|no_ai/.test(b.code) ? 'bad' : 'warn';
	return el('li', { dataset: { code: b.code } }, badge(kind, words(b.code)), el('span', {}, prose(b.text),
		b.until ? [', until ', when(b.until, now)] : null, kind === 'quiet' ? muted(' (holds nothing up)') : null));
}

function whyPart(m, why, now) {
	const done = m.status === 'completed';
	return el('section', { class: `panel v-body v-edge v-${KINDS[m.status] ?? 'quiet'}`, dataset: { test: 'month-why' } },
		el('h2', { text: 'Why it is where it is' }), el('p', { class: 'v-headline' }, headline(m, why, now)),
		m.error_message && !done ? para(bold('Last error: '), prose(m.error_message)) : null,
		done ? null : el('ol', { class: 'v-blockers' }, why.blockers.map(b => blocker(b, now))));
}

function figures(m) {
	const pair = (a, b) => `${int(a)} / ${int(b)}`;
	return [facts([['Books', int(m.books_generated), 'month-books'], ['ISBNs', int(m.isbns_resolved), 'month-isbns'],
		['Resolution', fmt.pct(m.resolution_rate)], ['Queued', int(m.isbns_queued)],
		['Known before', int(m.already_enriched)], ['Synthetic', int(m.synthetic_works)], ['Cost', fmt.usd(m.cost_usd)],
		['Calls Gemini / Grok', pair(m.gemini_calls, m.xai_calls)], ['ISBNdb / free', pair(m.isbndb_calls, m.free_calls)],
		['Failed attempts', `${int(m.retry_count)} of 5`]]),
	facts([['Prompt', `${cut(m.prompt_variant, 60)}, ${fmt.count(m.batch_size, 'book')} per AI`],
		['Stage', cut(m.stage ?? none, 20)], ['Owner', m.owner && bdi(m.owner, 60)], ['Fence', String(m.fence)],
		['Started', fmt.time(m.started_at)], m.completed_at ? ['Ended', fmt.time(m.completed_at)] :
			['Last progress', fmt.time(m.progressed_at)]], 'v-inline')];
}

function answersPart(m) {
	return section('What the AIs answered', 'month-answers', grid('Answers of the AIs', ['AI', 'Outcome', '#Round', 'Model',
		'Prompt', '#Tokens in', '#Tokens out', '#Cost', '#Latency', 'When'], m.answers.map(a => [who(a.provider),
		[badge(/^(ok|partial)$/.test(a.outcome) ? 'good' : 'warn', words(a.outcome)), a.reason ? [' ', prose(a.reason, 300)] : null],
		String(a.round + 1), cut(a.model, 60), cut(a.variant, 60), int(a.tokens_in), int(a.tokens_out),
		fmt.usd(a.cost_usd), fmt.ms(a.latency_ms), fmt.time(a.at)]), 'None yet.'));
}

const isCached = a => [a.from, a.reason, a.why].some(x => /^cached?$/.test(x));
const isSkipped = a => a.outcome === 'skipped' || a.outcome === 'not_askable';

function asked(c) {
	return PROVIDERS.filter(name => c.answers?.[name]).map(name => [name, c.answers[name]]);
}

function callsPart(m) {
	const said = m.candidates.flatMap(asked);
	const rows = PROVIDERS.map(name => [name, said.filter(([n]) => n === name).map(([, a]) => a)]).filter(([, l]) => l.length > 0);
	const count = (list, is) => list.filter(is).length || muted('0');
	return section('Who was asked for ISBNs', 'month-calls', grid('Providers asked for ISBNs', ['Provider', '#Asked', '#Found',
		'#Not found', '#Refused', '#Failed', '#Skipped', '#From cache', '#Units', '#Latency p50', '#Longest'],
	rows.map(([name, list]) => {
		const ms = list.filter(a => !isCached(a) && a.latency_ms >= 0).map(a => a.latency_ms).sort((a, b) => a - b);
		const units = list.filter(a => a.units >= 0);
		return [who(name), count(list, a => !isSkipped(a)), ...['hit', 'not_found', 'refused', 'failed'].map(outcome =>
			count(list, a => a.outcome === outcome)), count(list, isSkipped), count(list, isCached),
		units.length > 0 ? int(units.reduce((sum, a) => sum + a.units, 0)) : none,
		fmt.ms(ms[(ms.length - 1) >> 1]), fmt.ms(ms.at(-1))];
	}), 'Nobody yet.'),
	muted('Refused: what was offered was too unlike the book. Skipped: off, closed or out of quota.'));
}

function said([name, a]) {
	const parts = [a.outcome === 'hit' ? 'found' : words(a.outcome), a.isbn13 && cut(a.isbn13, 20),
		a.confidence >= 0 && `confidence ${a.confidence}`, !isCached(a) && a.why && `matched by ${cut(a.why, 120)}`,
		!isCached(a) && a.reason && cut(a.reason, 200), isCached(a) ? 'from the cache' : a.latency_ms >= 0 && fmt.ms(a.latency_ms),
		a.tries > 1 && `${a.tries} tries`];
	return el('li', {}, bold(who(name)), `: ${parts.filter(Boolean).join(', ')}`, a.title ? [', “', bdi(a.title, 160), '”'] : null);
}

function chain(c) {
	const list = asked(c);
	return list.length === 0 ? muted('nobody yet') : fold(`c${c.id}`, list.map(([name, a]) => [el('span',
		{ class: `v-chip v-${a.outcome === 'hit' ? 'good' : /refused|failed/.test(a.outcome) ? 'warn' : 'quiet'}` }, who(name), ' ',
		el('span', { 'aria-hidden': true, text: MARKS[a.outcome] ?? '○' }), el('span', { class: 'sr', text: words(a.outcome) })),
	' ']), el('ul', { class: 'v-said' }, list.map(said)));
}

function found(c, titles) {
	if (c.state === 'merged')
		return [badge('quiet', 'merged'), ' into ', bdi(titles.get(c.merged_into) ?? c.merged_into ?? 'another', 80)];
	if (c.isbn13)
		return [bookLink(c.isbn13), el('br'), muted(c.resolved_by ? `${who(c.resolved_by)}, ` : '', `confidence ${c.confidence}`)];
	if (c.state === 'new')
		return badge('busy', 'not looked up yet');
	if (c.state === 'unavailable')
		return badge('warn', 'nobody could be asked');
	const others = asked(c).filter(([, a]) => a.outcome === 'refused').map(([name]) => who(name));
	return [badge('quiet', 'no ISBN'), el('br'), muted(others.length > 0 ? `${others.join(', ')} offered another book` :
		'nobody has it')];
}

function titlesTable(m, keep) {
	const titles = new Map(m.candidates.map(c => [c.id, c.title]));
	const shown = m.candidates.filter(keep);
	return [el('p', { class: 'muted', role: 'status', dataset: { test: 'titles-shown' },
		text: `${int(shown.length)} of ${fmt.count(m.candidates.length, 'title')}` }),
	grid('Titles and who found their ISBNs', ['Title and author', 'Named by', 'ISBN', 'Asked'], shown.map(c => [
		[bookLink(c.isbn13 ?? c.work_key, cut(c.title)), el('br'), muted(bdi(c.author || 'author unknown', 120),
			c.publication_year ? `, ${c.publication_year}` : '', c.year_differs ? ' (another year)' : '')],
		c.generated_by.map(who).join(' + '), found(c, titles), chain(c)]), 'No title to show.')];
}

/* The filter stays where it is while the rest is painted anew. */
function titleFilter(changed) {
	const text = el('input', { type: 'search', maxlength: 100, title: 'Title, author, ISBN, provider',
		'aria-label': 'Filter by title, author, ISBN or provider', dataset: { test: 'titles-filter' }, on: { input: changed } });
	const without = el('input', { type: 'checkbox', dataset: { test: 'titles-without' }, on: { change: changed } });
	const keep = c => !(without.checked && (c.isbn13 || c.state === 'merged')) && text.value.toLowerCase().split(/\s+/)
		.every(word => [c.title, c.subtitle, c.author, c.isbn13, who(c.resolved_by)].join(' ').toLowerCase().includes(word));
	return { keep, bar: el('div', { class: 'v-filters' }, text, el('label', { class: 'v-check' }, without, 'only without ISBN')) };
}

const UNITS = { http: x => `HTTP ${x}`, cost_usd: fmt.usd, latency_ms: fmt.ms, resolution_rate: fmt.pct };
const PLAIN = ['variant', 'model', 'outcome', 'provider', 'error'];

/* What an event tells: the plain ones first, figures with units. */
function detail(d) {
	const parts = Object.entries(d ?? {}).sort((a, b) => PLAIN.indexOf(b[0]) - PLAIN.indexOf(a[0])).map(([key, v]) =>
		key === 'provider' ? who(v) : PLAIN.includes(key) ? prose(v, 300) : UNITS[key] ? UNITS[key](v) :
			[PROVIDERS.includes(key) ? who(key) : words(key), ' ', typeof v === 'number' ? int(v) :
				prose(typeof v === 'string' ? v : JSON.stringify(v), 200)]);
	return parts.length > 0 ? muted(parts.map((p, i) => [i > 0 ? ' · ' : '', p])) : none;
}

function attempt([fence, list], i) {
	const first = list[0], last = list.at(-1);
	const calls = list.filter(t => t.event === 'answered');
	return fold(`f${fence}`, [bold(`Fence ${fence}`), ' at ', bdi(first.instance, 60), ', ', fmt.time(first.at),
		`: ${fmt.duration((new Date(last.at) - new Date(first.at)) / 1000)}`, calls.length > 0 ?
			`, ${fmt.count(calls.length, 'AI call')} for ${fmt.usd(calls.reduce((sum, t) => sum + (t.detail?.cost_usd ?? 0), 0))}` : '',
		', came to ', bold(words(last.to))], grid(`Transitions of fence ${fence}`, ['Time', '#After', 'From → to', 'Event',
		'Detail'], list.map((t, n) => [fmt.time(t.at), n > 0 ? fmt.ms(new Date(t.at) - new Date(list[n - 1].at)) :
		none, t.from === t.to ? words(t.to) : `${words(t.from ?? none)} → ${words(t.to)}`, bold(words(t.event)),
	detail(t.detail)])), i === 0);
}

function transitionsPart(m) {
	const fences = new Map();
	for (const t of m.transitions)
		fences.set(t.fence, [...fences.get(t.fence) ?? [], t]);
	return section('Attempts and transitions', 'month-transitions', fences.size > 0 ? [...fences].reverse().map(attempt) :
		muted('Nothing has happened to it yet.'));
}

function neighbours(year, month) {
	const link = (n, text) => el('a', { href: `#/month/${monthKey(Math.floor(n / 12), n % 12 + 1)}`,
		text: text(fmt.month(Math.floor(n / 12), n % 12 + 1)) });
	return el('nav', { class: 'v-head', 'aria-label': 'Neighbouring months' }, link(year * 12 + month - 2, name => `← ${name}`),
		link(year * 12 + month, name => `${name} →`));
}

function actionBar(ctx, year, month, again) {
	const buttons = Object.keys(ALLOWED).map(name => button(`${name[0].toUpperCase()}${name.slice(1)}…`,
		() => monthAction(ctx, year, month, name).then(done => done && again()), `month-${name}`, { disabled: true }));
	return [el('div', { class: 'actions' }, buttons), status => Object.values(ALLOWED).forEach((list, i) => {
		buttons[i].disabled = !list.includes(status);
	})];
}

export function open(ctx, arg) {
	const [year, month] = String(arg).split('-').map(Number);
	if (!/^\d{4}-(0?[1-9]|1[012])$/.test(arg))
		return { title: 'Month', node: para('There is no such month.') };
	const title = fmt.month(year, month), path = `/api/internal/months/${year}/${month}`;
	const state = { m: null, row: null };
	const mark = el('span'), note = el('div'), top = el('div', { class: 'v-body' }, muted('Reading…')),
		list = el('div', { class: 'v-part' }), bottom = el('div');
	const { keep, bar } = titleFilter(() => repaint(list, titlesTable(state.m, keep)));
	const [actions, allow] = actionBar(ctx, year, month, () => r.now());
	const titles = section('Titles', 'month-titles', bar, list);
	titles.hidden = true;
	const paint = ([m, why]) => {
		const now = ctx.overview()?.now;
		if (state.m && state.m.status !== m.status)
			ctx.say(`${title} is now ${m.status}`);
		state.m = m;
		allow(m.status);
		note.replaceChildren();
		titles.hidden = false;
		mark.replaceChildren(statusMark(m.status, { name: true }));
		repaint(top, whyPart(m, why, now), figures(m), answersPart(m), callsPart(m));
		repaint(list, titlesTable(m, keep));
		repaint(bottom, transitionsPart(m));
	};
	const r = reader(() => Promise.all([ctx.api.get(path), ctx.api.get(`${path}/why`)]), paint, error => {
		if (error.status === 404)
			top.replaceChildren(para('Its year is not seeded.'));
		else
			note.replaceChildren(failure(error, r.now));
	});
	const timer = setInterval(() => state.m?.status === 'processing' && !document.hidden && r.soon(), BUSY_MS);
	r.now();
	return { title, node: el('div', { class: 'v-page' }, neighbours(year, month), el('div', { class: 'v-head' },
		el('h1', { dataset: { test: 'month-title' } }, title, ' ', mark), actions), note, top, titles, bottom),
	/* what has no event, a pause for one, shows in the overview */
	update(overview) {
		const row = JSON.stringify([overview.paused, overview.months.rows.find(x => x[0] === year && x[1] === month)]);
		if (state.row !== null && state.row !== row)
			r.soon();
		state.row = row;
	},
	event({ data }) {
		if (data.year === year && data.month === month)
			r.soon();
	},
	close() {
		clearInterval(timer);
		r.close();
	} };
}

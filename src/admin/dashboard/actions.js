/*
 * actions: what an operator does, each in a dialog: the plan, then the confirmation. Changing an input takes the plan away,
 * so that nobody confirms what he hasn't seen.
 */
import { el, fmt, monthsOf } from './dom.js';
import { badge, bold, button, cut, failure, grid, muted, para, prose, select, tags, when, who, words } from './panels.js';

const { int } = fmt;
const API = '/api/internal/';
const PLAN_AFTER_MS = 600;
let serial = 0;

function makeField({ name, label, options, ...props }, changed) {
	const id = `field-${++serial}`;
	const all = { id, name, type: 'number', required: !props.type, 'aria-describedby': `${id}-e`, ...props,
		dataset: { test: `field-${name}` }, on: { input: changed } };
	const input = options ? select(options, { ...all, type: null }) : el('input', all);
	const error = el('p', { id: `${id}-e`, class: 'v-error' });
	return { name, input, error, node: el('div', { class: 'v-row' }, el('label', { for: id, text: label }), input, error) };
}

function valuesOf(fields) {
	return Object.fromEntries(fields.filter(f => !f.node.hidden && f.input.value !== '').map(({ name, input }) => [name,
		input.type === 'checkbox' ? input.checked : input.type === 'number' ? Number(input.value) : input.value]));
}

/* Says beside an input what is wrong with it, or that nothing is. */
function blame(f, text) {
	f.error.textContent = cut(text, 300);
	f.input.setAttribute('aria-invalid', String(text !== ''));
}

/* Opens a dialog; resolves true when it was done. ask: {title, confirm, danger, fields, hide(values) -> names,
 * plan(values) -> {nodes, ok, confirm}, run(values) -> what to say}. */
function dialog(ctx, ask) {
	const opener = document.activeElement;
	const state = { turn: 0, timer: 0, ready: false, running: false, done: false };
	const plan = el('div', { class: 'v-plan v-body', 'aria-live': 'polite' }, muted('Making the plan…'));
	const problem = el('div', {});
	const fields = (ask.fields ?? []).map(f => makeField(f, () => changed()));
	const confirm = button(ask.confirm, () => run(), 'dialog-confirm', { class: ask.danger ? 'danger' : 'primary' });
	const node = el('dialog', { 'aria-labelledby': 'dialog-h', dataset: { test: 'dialog' } }, el('form', { class: 'v-body',
		novalidate: true, on: { submit: event => { event.preventDefault(); make(); } } }, el('h2', { id: 'dialog-h', text: ask.title }),
	fields.map(f => f.node), plan, problem, el('div', { class: 'actions v-end' },
		button('Cancel', () => node.close(), 'dialog-cancel'), confirm)));
	const drop = () => {
		state.turn++;
		clearTimeout(state.timer);
		confirm.disabled = true;
		state.ready = false;
		delete plan.dataset.test;
		plan.classList.add('v-stale');
		problem.replaceChildren();
		fields.forEach(f => blame(f, ''));
		fields.forEach(f => { f.node.hidden = ask.hide?.(valuesOf(fields)).includes(f.name) ?? false; });
	};
	const changed = () => {
		drop();
		state.timer = setTimeout(make, PLAN_AFTER_MS);
	};
	const refuse = error => {
		/* year_range.start is year_start here */
		const here = d => fields.find(f => f.name === d.field?.replace('range.', '') && !f.node.hidden);
		error.details?.forEach(d => here(d) && blame(here(d), d.message));
		problem.replaceChildren(failure(error, make), ...(error.details ?? []).filter(d => !here(d)).map(d =>
			para(`${cut(d.field, 60)}: ${cut(d.message, 300)}`)));
	};
	const make = async () => {
		drop();
		const turn = state.turn;
		const bad = fields.filter(f => !f.node.hidden && !f.input.checkValidity());
		bad.forEach(f => blame(f, f.input.validationMessage));
		if (bad.length > 0)
			return;
		try {
			const made = await ask.plan(valuesOf(fields));
			if (turn !== state.turn)
				return;
			plan.replaceChildren(...el('div', {}, made.nodes).childNodes);
			plan.classList.remove('v-stale');
			plan.dataset.test = 'dialog-plan';
			confirm.textContent = made.confirm ?? ask.confirm;
			state.ready = made.ok ?? true;
			confirm.disabled = !state.ready;
		} catch (error) {
			if (turn === state.turn)
				refuse(error);
		}
	};
	const run = async () => {
		if (!state.ready || state.running)
			return;
		const values = valuesOf(fields);
		state.running = true;
		[...fields.map(f => f.input), confirm].forEach(n => { n.disabled = true; });
		try {
			ctx.toast(await ask.run(values), 'good');
			state.done = true;
			node.close();
			ctx.refresh();
		} catch (error) {
			fields.forEach(f => { f.input.disabled = false; });
			drop();
			refuse(error);
		}
		state.running = false;
	};
	document.body.append(node);
	node.showModal();
	make();
	return new Promise(resolve => {
		node.addEventListener('cancel', event => state.running && event.preventDefault());
		node.addEventListener('close', () => {
			drop();
			node.remove();
			opener?.focus();
			resolve(state.done);
		});
	});
}

function count(n, one, many, ...rest) {
	return para(el('b', { class: 'v-headline', dataset: { test: 'dialog-count' }, text: int(n) }), ` ${n === 1 ? one : many}`, rest);
}

function monthList(months, extra = () => null) {
	return months.length === 0 ? null : el('details', { open: months.length <= 12 }, el('summary', { text: 'Which months' }),
		tags(months.map(m => [fmt.month(m.year, m.month), extra(m)])));
}

function estimateOf(e) {
	return e ? [grid('Expected calls', ['Provider', '#Calls', '#Cost', '#Quota left after'],
		Object.entries(e.per_provider).filter(([, p]) => p.calls > 0 || p.units > 0).map(([name, p]) => [who(name), int(p.calls),
			fmt.usd(p.cost_usd), p.quota_left_after === null ? 'no limit' : p.quota_left_after > 0 ?
				int(p.quota_left_after) : badge('bad', 'none')])),
	para('About ', bold(fmt.usd(e.cost_usd)), ' and ', bold(fmt.duration(e.seconds)), e.binds ? `, bound by ${words(e.binds)}; ` : '; ',
		muted(e.basis.from === 'history' ? [`from ${fmt.count(e.basis.months, 'month')} since `, fmt.time(e.basis.since)] :
			'a rough guess from the configuration'))] : null;
}

const yearFields = (start, end) => [['year_start', 'From year', start], ['year_end', 'To year', end]].map(([name, label, value]) =>
	({ name, label, min: 1900, max: 2100, value }));
const timerOf = ctx => ctx.overview()?.timer ?? { batch_size: 10, year_start: 2000, year_end: 2024 };

export function schedule(ctx) {
	const timer = timerOf(ctx), paused = ctx.overview()?.paused;
	const post = (v, dry) => ctx.api.post(`${API}schedule-backfill`, { batch_size: v.batch_size, force_retry: v.force_retry,
		year_range: { start: v.year_start, end: v.year_end }, dry_run: dry });
	return dialog(ctx, { title: 'Schedule months', confirm: 'Schedule',
		fields: [{ name: 'batch_size', label: 'Months', min: 1, max: 50, value: timer.batch_size },
			...yearFields(timer.year_start, timer.year_end),
			{ name: 'force_retry', label: 'Failed ones with attempts left, too', type: 'checkbox' }],
		plan: async v => {
			const p = await post(v, true), n = p.months_selected;
			return { ok: n > 0 && !paused, confirm: `Schedule ${fmt.count(n, 'month')}`, nodes: [
				paused ? badge('warn', 'Everything is paused: resume first.') : null, count(n, 'month starts.', 'months start.'),
				monthList(p.months), n > 0 ? estimateOf(p.estimate) : null] };
		},
		run: async v => `${fmt.count((await post(v, false)).months_selected, 'month')} started` });
}

export function retryWhere(ctx) {
	const all = monthsOf(ctx.overview());
	const post = (v, dry) => ctx.api.post(`${API}months/retry`, { ...(v.where === 'rate' ? { rate_below: v.rate_below } :
		/failed|retry/.test(v.where) ? { status: v.where } : { refused_by: v.where }),
	year_range: { start: v.year_start, end: v.year_end }, limit: v.limit, dry_run: dry });
	return dialog(ctx, { title: 'Retry months', confirm: 'Retry',
		fields: [{ name: 'where', label: 'Months', options: [['failed', 'that failed'], ['retry', 'that wait for a retry'],
			['rate', 'with a resolution rate below'], ['gemini', 'where Gemini refused'], ['xai', 'where Grok refused']] },
		{ name: 'rate_below', label: 'Below, per cent', min: 1, max: 100, value: 60 },
		...yearFields(all.at(-1)?.year ?? 2000, all[0]?.year ?? 2024),
		{ name: 'limit', label: 'At most', min: 1, max: 2412, value: 2412 }],
		hide: v => v.where === 'rate' ? [] : ['rate_below'],
		plan: async v => {
			const p = await post(v, true), resets = p.months.filter(m => m.action === 'reset').length;
			const n = p.months.length, due = n - resets;
			return { ok: n > 0, confirm: `${resets > 0 ? 'Reset and retry' : 'Retry'} ${fmt.count(n, 'month')}`, nodes: [
				count(p.matched, 'month matches', 'months match', n < p.matched ? `; the newest ${int(n)} are taken.` : '.'),
				due > 0 ? para(`${fmt.count(due, 'month')} due now; what was paid for is kept.`) : null,
				resets > 0 ? el('p', { class: 'v-note' }, badge('warn', fmt.count(resets, 'completed month')), ` reset and bought again: ` +
					'answers and titles are dropped, works stay.') : null,
				monthList(p.months, m => m.action === 'reset' ? muted(` ${fmt.pct(m.resolution_rate)}, reset`) : null),
				n > 0 ? estimateOf(p.estimate) : null] };
		},
		run: async v => {
			const a = await post(v, false);
			return `${int(a.retried)} due now, ${int(a.reset)} reset`;
		} });
}

/* What each of the three does to a month. */
const MONTH = {
	retry: ['Retry', 'is due now', m => `It becomes due now, as attempt ${Math.min(5, m.retry_count + 1)} of 5, goes on where it ` +
		'stopped and keeps what was paid for.'],
	reset: ['Reset', 'is pending again', m => `It starts from nothing: ${fmt.count(m.answers.length, 'answer')} and ` +
		`${fmt.count(m.candidates.length, 'title')} are dropped and bought again (${fmt.usd(m.cost_usd)} and ` +
		`${fmt.count(m.isbndb_calls, 'ISBNdb call')} so far). Works stay.`],
	cancel: ['Cancel', 'is cancelled', m => 'It ends as failed; requests under way are paid for all the same.']
};

export function monthAction(ctx, year, month, action) {
	const path = `${API}months/${year}/${month}`, name = fmt.month(year, month), [verb, done, text] = MONTH[action];
	return dialog(ctx, { title: `${verb} ${name}`, confirm: `${verb} the month`, danger: action !== 'retry',
		plan: async () => {
			const m = await ctx.api.get(path);
			return { nodes: [count(1, `month, ${name}, is ${m.status}.`), para(text(m))] };
		},
		run: async () => {
			await ctx.api.post(`${path}/${action}`);
			return `${name} ${done}`;
		} });
}

/* Nothing is claimed any more, with a note and until a time. */
export function pause(ctx) {
	const flying = ctx.overview()?.progress.in_flight ?? 0;
	const utc = local => local && `${new Date(local).toISOString().slice(0, 19)}Z`;
	return dialog(ctx, { title: 'Pause', confirm: 'Pause',
		fields: [{ name: 'note', label: 'Why (others read it)', type: 'text', maxlength: 500 },
			{ name: 'until', label: 'Until, in your time (or until resumed)', type: 'datetime-local' }],
		plan: async v => {
			const over = v.until && new Date(v.until) <= new Date();
			return { ok: !over, nodes: [para('No instance claims, retries or rescues a month. ',
				`${fmt.count(flying, 'month')} in flight ${flying === 1 ? 'goes' : 'go'} on to the end.`),
			over ? badge('bad', 'That time is over.') : v.until ? para('It ends ', when(v.until), ', in UTC ',
				bold(utc(v.until).replace('T', ' ').slice(0, 16)), '.') : para('It holds until somebody resumes.')] };
		},
		run: async v => {
			await ctx.api.post(`${API}pause`, { note: v.note, until: utc(v.until) });
			return 'Paused';
		} });
}

export function resume(ctx) {
	const p = ctx.overview()?.paused;
	return dialog(ctx, { title: 'Resume', confirm: 'Resume',
		plan: async () => ({ nodes: [p ? para('Paused since ', fmt.time(p.since), p.note ? [': “', prose(p.note, 500), '”'] : '',
			p.until ? [', until ', when(p.until)] : '', '.') : para('It is not paused.'),
		para('Retries that are due start at once; pending months wait for the timer.')] }),
		run: async () => {
			await ctx.api.post(`${API}resume`);
			return 'Resumed';
		} });
}

export function seed(ctx) {
	const timer = timerOf(ctx);
	return dialog(ctx, { title: 'Seed months', confirm: 'Seed',
		fields: yearFields(timer.year_start, timer.year_end),
		plan: async v => {
			const there = monthsOf(ctx.overview()).filter(m => m.year >= v.year_start && m.year <= v.year_end).length;
			const n = Math.max(0, 12 * (v.year_end - v.year_start + 1) - there);
			return { ok: n > 0, nodes: [count(n, 'month is made', 'months are made', `; ${int(there)} are there already and stay.`)] };
		},
		run: async v => (await ctx.api.post(`${API}seed-backfill-queue`, v)).message });
}

export function redrive(ctx) {
	const post = (v, dry) => ctx.api.post(`${API}enrichment/redrive`, { ...v, dry_run: dry });
	return dialog(ctx, { title: 'Redrive failed items', confirm: 'Redrive',
		fields: [{ name: 'reason', label: 'Reason contains', type: 'text', maxlength: 500 },
			{ name: 'limit', label: 'At most', min: 1, max: 100000, value: 1000 }],
		plan: async v => {
			const p = await post(v, true);
			return { ok: p.matched > 0, nodes: [count(p.matched, 'item matches', 'items match',
				p.matched > v.limit ? `; the oldest ${int(v.limit)} are taken.` : '.')] };
		},
		run: async v => `${fmt.count((await post(v, false)).redriven, 'item')} due again` });
}

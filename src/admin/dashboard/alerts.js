/*
 * alerts: what is wrong and what to do, what was, and two examinations: verify the figures, doctor the surroundings.
 */
import { el, fmt } from './dom.js';
import { badge, bdi, bold, button, cut, failure, grid, muted, page, para, prose, section, tags, when, words } from './panels.js';

const kindOf = s => s === 'critical' || s === 'error' ? 'bad' : 'warn';
const severity = s => badge(kindOf(s), cut(s, 20));
const name = (key, subject) => [words(key, 60), subject ? [' · ', bdi(subject, 100)] : null];

function problem(level, heading, text, remedy, more = null) {
	return el('li', { class: `panel v-edge v-${kindOf(level)}` }, el('div', { class: 'v-head' }, el('h3', {}, heading),
		severity(level)), para(prose(text)), remedy ? para(bold('What to do: '), prose(remedy)) : null, more);
}

function paint(list, now) {
	const past = list.filter(a => a.cleared_at), now_ = list.filter(a => !a.cleared_at);
	return [section('Open', 'alerts-open', now_.length === 0 ? para(badge('good', 'Nothing is wrong.')) :
		el('ul', { class: 'v-body' }, now_.map(a => problem(a.severity, name(a.key, a.subject), a.summary, a.action,
			para(muted('since ', when(a.raised_at, now), a.delivered === false ? ', not yet taken by the webhook' : null)))))),
	section('Cleared in the last 7 days', 'alerts-cleared', grid('Cleared alerts', ['Alert', 'Severity', 'What it was',
		'Raised', '#Lasted'], past.map(a => [name(a.key, a.subject), severity(a.severity), prose(a.summary, 300),
		fmt.time(a.raised_at), fmt.duration((new Date(a.cleared_at) - new Date(a.raised_at)) / 1000)]), 'None.'))];
}

function report(a) {
	const checks = Object.entries(a.checked);
	return [para(badge(a.ok ? 'good' : 'bad', `${fmt.count(a.errors, 'error')}, ${fmt.count(a.warnings, 'warning')}`)),
		el('ul', { class: 'v-body' }, a.findings.slice(0, 200).map(f =>
			problem(f.severity, name(f.check, f.subject), f.text, f.remedy))),
		el('details', {}, el('summary', { text: fmt.count(checks.length, 'check') }),
			tags(checks.map(([check, n]) => `${words(check)} ${fmt.int(n)}`)))];
}

function examination(ctx, path, heading, text) {
	const out = el('div', { dataset: { test: `${path}-findings` } });
	const start = button('Check now', async () => {
		start.disabled = true;
		out.replaceChildren(muted('Checking…'));
		try {
			const answer = await ctx.api.get(`/api/internal/${path}`);
			out.replaceChildren(...report(answer));
			ctx.say(`${heading}: ${answer.errors} errors, ${answer.warnings} warnings`);
		} catch (error) {
			out.replaceChildren(failure(error));
		}
		start.disabled = false;
		start.focus();
	}, `${path}-run`, { 'aria-label': `${heading}: check now` });
	return section(heading, null, para(muted(text)), para(start), out);
}

export function open(ctx) {
	const p = page(ctx, 'Alerts', { read: () => ctx.api.get('/api/internal/alerts'),
		paint: (answer, now) => paint(answer.alerts, now) });
	p.node.append(examination(ctx, 'verify', 'Verify the figures',
		'Counters equal the rows behind them; nothing is lost or doubled.'),
	examination(ctx, 'doctor', 'Examine the surroundings',
		'Schema, server, clock, files of secrets, configuration and providers.'));
	return p;
}

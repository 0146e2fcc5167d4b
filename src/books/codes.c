/*
 * codes: languages by what providers write for them, as ISO 639-1 codes where there is one.
 *
 * The codes and English names are those of ISO 639-2 (terminological and bibliographic), some codes
 * of ISO 639-3 that books are catalogued under, codes since withdrawn that libraries still use, and
 * the names that a few languages give themselves. Groups of languages are no language.
 */
#include <string.h>
#include "backfill/books.h"
#include "words.h"

/* Code to give back; other codes, by spaces; names as they are folded, by bars. */
static const struct language { char code[4]; const char *codes, *names;
} languages[] = {
	{ "aa", "aar", "afar" }, { "ab", "abk", "abkhazian" }, { "ae", "ave", "avestan" },
	{ "af", "afr", "afrikaans" }, { "ak", "aka", "akan" }, { "am", "amh", "amharic" },
	{ "an", "arg", "aragonese" }, { "ar", "ara arb", "arabic|العربية" },
	{ "as", "asm", "assamese" }, { "av", "ava", "avaric" }, { "ay", "aym ayr", "aymara" },
	{ "az", "aze azj", "azerbaijani" }, { "ba", "bak", "bashkir" },
	{ "be", "bel", "belarusian" }, { "bg", "bul", "bulgarian|българскии" },
	{ "bi", "bis", "bislama" }, { "bm", "bam", "bambara" },
	{ "bn", "ben", "bengali|bangla" }, { "bo", "bod tib", "tibetan" },
	{ "br", "bre", "breton" }, { "bs", "bos", "bosnian|bosanski" },
	{ "ca", "cat", "catalan|valencian|catala" }, { "ce", "che", "chechen" },
	{ "ch", "cha", "chamorro" }, { "co", "cos", "corsican" }, { "cr", "cre", "cree" },
	{ "cs", "ces cze", "czech|cestina|cesky" },
	{ "cu", "chu", "church slavic|old slavonic|church slavonic|old bulgarian|old church slavonic" },
	{ "cv", "chv", "chuvash" }, { "cy", "cym wel", "welsh|cymraeg" },
	{ "da", "dan", "danish|dansk" },
	{ "de", "deu ger", "german|deutsch|standard german|high german" },
	{ "dv", "div", "divehi|dhivehi|maldivian" }, { "dz", "dzo", "dzongkha" },
	{ "ee", "ewe", "ewe" }, { "el", "ell gre", "greek modern|modern greek|greek|ελληνικα" },
	{ "en", "eng", "english" }, { "eo", "epo esp", "esperanto" },
	{ "es", "spa spn", "spanish|castilian|castellano|espanol|latin american spanish" },
	{ "et", "est ekk", "estonian|eesti" }, { "eu", "eus baq", "basque|euskara|euskera" },
	{ "fa", "fas per pes", "persian|farsi|فارسی" }, { "ff", "ful", "fulah" },
	{ "fi", "fin", "finnish|suomi" }, { "fj", "fij", "fijian" },
	{ "fo", "fao far", "faroese" }, { "fr", "fra fre", "french|francais" },
	{ "fy", "fry fri", "western frisian|frisian" },
	{ "ga", "gle iri", "irish|gaeilge|irish gaelic" },
	{ "gd", "gla gae", "gaelic|scottish gaelic|scots gaelic" },
	{ "gl", "glg gag", "galician|galego" }, { "gn", "grn gua", "guarani" },
	{ "gu", "guj", "gujarati" }, { "gv", "glv max", "manx" }, { "ha", "hau", "hausa" },
	{ "he", "heb iw", "hebrew|עברית" }, { "hi", "hin", "hindi" },
	{ "ho", "hmo", "hiri motu" }, { "hr", "hrv scr", "croatian|hrvatski" },
	{ "ht", "hat", "haitian|haitian creole" }, { "hu", "hun", "hungarian|magyar" },
	{ "hy", "hye arm", "armenian" }, { "hz", "her", "herero" },
	{ "ia", "ina", "interlingua" }, { "id", "ind in", "indonesian|bahasa indonesia" },
	{ "ie", "ile", "interlingue|occidental" }, { "ig", "ibo", "igbo" },
	{ "ii", "iii", "sichuan yi|nuosu" }, { "ik", "ipk esk", "inupiaq" },
	{ "io", "ido", "ido" }, { "is", "isl ice", "icelandic|islenska" },
	{ "it", "ita", "italian|italiano" }, { "iu", "iku", "inuktitut" },
	{ "ja", "jpn", "japanese|日本語" }, { "jv", "jav jw", "javanese" },
	{ "ka", "kat geo", "georgian" }, { "kg", "kon", "kongo" },
	{ "ki", "kik", "kikuyu|gikuyu" }, { "kj", "kua", "kuanyama|kwanyama" },
	{ "kk", "kaz", "kazakh" }, { "kl", "kal", "kalaallisut|greenlandic" },
	{ "km", "khm cam", "central khmer|khmer" }, { "kn", "kan", "kannada" },
	{ "ko", "kor", "korean|한국어" }, { "kr", "kau", "kanuri" }, { "ks", "kas", "kashmiri" },
	{ "ku", "kur kmr", "kurdish" }, { "kv", "kom", "komi" }, { "kw", "cor", "cornish" },
	{ "ky", "kir", "kirghiz|kyrgyz" }, { "la", "lat", "latin|latina" },
	{ "lb", "ltz", "luxembourgish|letzeburgesch" }, { "lg", "lug", "ganda" },
	{ "li", "lim", "limburgan|limburger|limburgish" }, { "ln", "lin", "lingala" },
	{ "lo", "lao", "lao|laotian" }, { "lt", "lit", "lithuanian|lietuviu" },
	{ "lu", "lub", "luba katanga" }, { "lv", "lav lvs", "latvian|latviesu" },
	{ "mg", "mlg mla", "malagasy" }, { "mh", "mah", "marshallese" },
	{ "mi", "mri mao", "maori" }, { "mk", "mkd mac", "macedonian" },
	{ "ml", "mal", "malayalam" }, { "mn", "mon khk", "mongolian" },
	{ "mr", "mar", "marathi" },
	{ "ms", "msa may zsm", "malay|bahasa melayu|bahasa malaysia" },
	{ "mt", "mlt", "maltese" }, { "my", "mya bur", "burmese" }, { "na", "nau", "nauru" },
	{ "nb", "nob", "bokmal norwegian|norwegian bokmal|bokmal" },
	{ "nd", "nde", "ndebele north|north ndebele" }, { "ne", "nep npi", "nepali" },
	{ "ng", "ndo", "ndonga" }, { "nl", "nld dut", "dutch|flemish|nederlands" },
	{ "nn", "nno", "norwegian nynorsk|nynorsk norwegian|nynorsk" },
	{ "no", "nor", "norwegian|norsk" }, { "nr", "nbl", "ndebele south|south ndebele" },
	{ "nv", "nav", "navajo|navaho" }, { "ny", "nya", "chichewa|chewa|nyanja" },
	{ "oc", "oci lan prv", "occitan|provencal" }, { "oj", "oji", "ojibwa" },
	{ "om", "orm gal gaz hae", "oromo" }, { "or", "ori ory", "oriya|odia" },
	{ "os", "oss", "ossetian|ossetic" }, { "pa", "pan", "panjabi|punjabi" },
	{ "pi", "pli", "pali" }, { "pl", "pol", "polish|polski" },
	{ "ps", "pus pbu", "pushto|pashto" }, { "pt", "por pob", "portuguese|portugues" },
	{ "qu", "que quz", "quechua" }, { "rm", "roh", "romansh" }, { "rn", "run", "rundi" },
	{ "ro", "ron rum mol mo", "romanian|moldavian|moldovan|romana|romaneste" },
	{ "ru", "rus", "russian|русскии|russkii" }, { "rw", "kin", "kinyarwanda" },
	{ "sa", "san", "sanskrit" }, { "sc", "srd", "sardinian" }, { "sd", "snd", "sindhi" },
	{ "se", "sme lap", "northern sami|sami" }, { "sg", "sag", "sango" },
	{ "si", "sin snh", "sinhala|sinhalese" },
	{ "sk", "slk slo", "slovak|slovencina|slovensky" },
	{ "sl", "slv", "slovenian|slovenscina" }, { "sm", "smo sao", "samoan" },
	{ "sn", "sna", "shona" }, { "so", "som", "somali" },
	{ "sq", "sqi alb als", "albanian|shqip" }, { "sr", "srp scc", "serbian|srpski" },
	{ "ss", "ssw swz", "swati" }, { "st", "sot sso", "sotho southern|southern sotho" },
	{ "su", "sun", "sundanese" }, { "sv", "swe", "swedish|svenska" },
	{ "sw", "swa swh", "swahili|kiswahili" }, { "ta", "tam", "tamil" },
	{ "te", "tel", "telugu" }, { "tg", "tgk taj", "tajik" }, { "th", "tha", "thai" },
	{ "ti", "tir", "tigrinya" }, { "tk", "tuk", "turkmen" }, { "tl", "tgl tag", "tagalog" },
	{ "tn", "tsn tsw", "tswana" }, { "to", "ton", "tonga|tongan" },
	{ "tr", "tur", "turkish|turkce" }, { "ts", "tso", "tsonga" },
	{ "tt", "tat tar", "tatar" }, { "tw", "twi", "twi" }, { "ty", "tah", "tahitian" },
	{ "ug", "uig", "uighur|uyghur" }, { "uk", "ukr", "ukrainian|украінська" },
	{ "ur", "urd", "urdu" }, { "uz", "uzb uzn", "uzbek" }, { "ve", "ven", "venda" },
	{ "vi", "vie", "vietnamese|tieng viet" }, { "vo", "vol", "volapuk" },
	{ "wa", "wln", "walloon" }, { "wo", "wol", "wolof" }, { "xh", "xho", "xhosa" },
	{ "yi", "yid ji ydd", "yiddish" }, { "yo", "yor", "yoruba" },
	{ "za", "zha", "zhuang|chuang" },
	{ "zh", "zho chi cmn", "chinese|mandarin|mandarin chinese|中文|汉语|漢語" },
	{ "zu", "zul", "zulu" }, { "ace", "", "achinese" }, { "ach", "", "acoli" },
	{ "ada", "", "adangme" }, { "ady", "", "adyghe|adygei" }, { "afh", "", "afrihili" },
	{ "ain", "", "ainu" }, { "akk", "", "akkadian|babylonian|assyrian" },
	{ "ale", "", "aleut" }, { "alt", "", "southern altai" },
	{ "ang", "", "english old|old english|anglo saxon" }, { "anp", "", "angika" },
	{ "apc", "", "levantine arabic" }, { "arc", "", "official aramaic|imperial aramaic" },
	{ "arn", "", "mapudungun|mapuche" }, { "arp", "", "arapaho" }, { "arw", "", "arawak" },
	{ "ary", "", "moroccan arabic" }, { "arz", "", "egyptian arabic" },
	{ "ase", "", "american sign language" },
	{ "ast", "", "asturian|bable|leonese|asturleonese" }, { "awa", "", "awadhi" },
	{ "azb", "", "south azerbaijani" }, { "bal", "", "baluchi" }, { "ban", "", "balinese" },
	{ "bar", "", "bavarian" }, { "bas", "", "basa" }, { "bej", "", "beja|bedawiyet" },
	{ "bem", "", "bemba" }, { "bfi", "", "british sign language" },
	{ "bho", "", "bhojpuri" }, { "bik", "", "bikol" }, { "bin", "", "bini|edo" },
	{ "bla", "", "siksika" }, { "bra", "", "braj" }, { "bua", "", "buriat" },
	{ "bug", "", "buginese" }, { "bxr", "", "buryat" }, { "byn", "", "blin|bilin" },
	{ "cab", "", "garifuna" }, { "cad", "", "caddo" }, { "car", "", "galibi carib" },
	{ "ceb", "", "cebuano" }, { "chb", "", "chibcha" }, { "chg", "", "chagatai" },
	{ "chk", "", "chuukese" }, { "chm", "", "mari" }, { "chn", "", "chinook jargon" },
	{ "cho", "", "choctaw" }, { "chp", "", "chipewyan|dene suline" },
	{ "chr", "", "cherokee" }, { "chy", "", "cheyenne" },
	{ "ckb", "", "sorani|central kurdish" }, { "cnr", "", "montenegrin" },
	{ "cop", "", "coptic" }, { "crh", "", "crimean tatar|crimean turkish" },
	{ "csb", "", "kashubian" }, { "dak", "", "dakota" }, { "dar", "", "dargwa" },
	{ "del", "", "delaware" }, { "den", "", "slave" }, { "dgr", "", "dogrib" },
	{ "din", "", "dinka" }, { "doi", "", "dogri" }, { "dsb", "", "lower sorbian" },
	{ "dua", "", "duala" }, { "dum", "", "dutch middle|middle dutch" },
	{ "dyu", "", "dyula" }, { "efi", "", "efik" },
	{ "egy", "", "egyptian|egyptian ancient|ancient egyptian" }, { "eka", "", "ekajuk" },
	{ "elx", "", "elamite" }, { "eml", "", "emilian" },
	{ "enm", "", "english middle|middle english" }, { "ewo", "", "ewondo" },
	{ "ext", "", "extremaduran" }, { "fan", "", "fang" }, { "fat", "", "fanti" },
	{ "fil", "", "filipino|pilipino" }, { "fon", "", "fon" }, { "frc", "", "cajun french" },
	{ "frm", "", "french middle|middle french" }, { "fro", "", "french old|old french" },
	{ "frr", "", "northern frisian" }, { "frs", "", "eastern frisian" },
	{ "fur", "", "friulian" }, { "gaa", "", "ga" }, { "gay", "", "gayo" },
	{ "gba", "", "gbaya" }, { "gcf", "", "antillean creole" }, { "gez", "eth", "geez" },
	{ "gil", "", "gilbertese" }, { "gmh", "", "german middle high|middle high german" },
	{ "goh", "", "german old high|old high german" }, { "gon", "", "gondi" },
	{ "gor", "", "gorontalo" }, { "got", "", "gothic" }, { "grb", "", "grebo" },
	{ "grc", "", "greek ancient|ancient greek|classical greek|koine greek" },
	{ "gsw", "", "swiss german|alemannic|alsatian" }, { "gwi", "", "gwichin" },
	{ "hai", "", "haida" }, { "hak", "", "hakka" }, { "haw", "", "hawaiian" },
	{ "hbo", "", "biblical hebrew|ancient hebrew|classical hebrew" },
	{ "hil", "", "hiligaynon" }, { "hit", "", "hittite" }, { "hmn", "", "hmong|mong" },
	{ "hsb", "", "upper sorbian" }, { "hup", "", "hupa" },
	{ "hyw", "", "western armenian" }, { "iba", "", "iban" }, { "ilo", "", "iloko" },
	{ "inh", "", "ingush" }, { "jam", "", "jamaican creole|patois" },
	{ "jbo", "", "lojban" }, { "jpr", "", "judeo persian" }, { "jrb", "", "judeo arabic" },
	{ "kaa", "", "kara kalpak" }, { "kab", "", "kabyle" }, { "kac", "", "kachin|jingpho" },
	{ "kam", "", "kamba" }, { "kaw", "", "kawi" }, { "kbd", "", "kabardian" },
	{ "kha", "", "khasi" }, { "kho", "", "khotanese|sakan" }, { "kmb", "", "kimbundu" },
	{ "kok", "knn gom", "konkani" }, { "kos", "", "kosraean" }, { "kpe", "", "kpelle" },
	{ "krc", "", "karachay balkar" }, { "krl", "", "karelian" }, { "kru", "", "kurukh" },
	{ "ksh", "", "ripuarian|kolsch" }, { "kum", "", "kumyk" }, { "kut", "", "kutenai" },
	{ "lad", "", "ladino" }, { "lah", "", "lahnda" }, { "lam", "", "lamba" },
	{ "lez", "", "lezghian" }, { "lij", "", "ligurian" }, { "lmo", "", "lombard" },
	{ "lol", "", "mongo" }, { "loz", "", "lozi" }, { "ltg", "", "latgalian" },
	{ "lua", "", "luba lulua" }, { "lui", "", "luiseno" }, { "lun", "", "lunda" },
	{ "luo", "", "luo" }, { "lus", "", "lushai" },
	{ "lzh", "", "classical chinese|literary chinese" }, { "mad", "", "madurese" },
	{ "mag", "", "magahi" }, { "mai", "", "maithili" }, { "mak", "", "makasar" },
	{ "man", "", "mandingo" }, { "mas", "", "masai" }, { "mdf", "", "moksha" },
	{ "mdr", "", "mandar" }, { "men", "", "mende" },
	{ "mfe", "", "mauritian creole|morisyen" }, { "mga", "", "irish middle|middle irish" },
	{ "mhr", "", "meadow mari" }, { "mic", "", "mikmaq|micmac" },
	{ "min", "", "minangkabau" }, { "mnc", "", "manchu" }, { "mni", "", "manipuri" },
	{ "moh", "", "mohawk" }, { "mos", "", "mossi" }, { "mus", "", "creek" },
	{ "mwl", "", "mirandese" }, { "mwr", "", "marwari" }, { "myv", "", "erzya" },
	{ "nan", "", "hokkien|min nan|taiwanese|southern min" }, { "nap", "", "neapolitan" },
	{ "nci", "", "classical nahuatl" },
	{ "nds", "", "low german|low saxon|german low|saxon low|plattdeutsch" },
	{ "new", "", "nepal bhasa|newari" }, { "nia", "", "nias" }, { "niu", "", "niuean" },
	{ "nog", "", "nogai" }, { "non", "", "norse old|old norse" }, { "nqo", "", "nko" },
	{ "nso", "", "pedi|sepedi|northern sotho" },
	{ "nwc", "", "classical newari|old newari|classical nepal bhasa" },
	{ "nym", "", "nyamwezi" }, { "nyn", "", "nyankole" }, { "nyo", "", "nyoro" },
	{ "nzi", "", "nzima" }, { "odt", "", "old dutch" },
	{ "orv", "", "old russian|old east slavic" }, { "osa", "", "osage" },
	{ "osp", "", "old spanish" }, { "ota", "", "turkish ottoman|ottoman turkish" },
	{ "owl", "", "old welsh" }, { "pag", "", "pangasinan" }, { "pal", "", "pahlavi" },
	{ "pam", "", "pampanga|kapampangan" }, { "pap", "", "papiamento" },
	{ "pau", "", "palauan" }, { "pcm", "", "nigerian pidgin" },
	{ "pdc", "", "pennsylvania german|pennsylvania dutch" },
	{ "peo", "", "persian old|old persian" }, { "pfl", "", "palatinate german" },
	{ "phn", "", "phoenician" }, { "pms", "", "piedmontese" },
	{ "pnb", "", "western panjabi" }, { "pon", "", "pohnpeian" },
	{ "pro", "", "provencal old|old provencal|old occitan" }, { "prs", "", "dari" },
	{ "quc", "", "kiche|quiche" }, { "raj", "", "rajasthani" }, { "rap", "", "rapanui" },
	{ "rar", "", "rarotongan|cook islands maori" }, { "rgn", "", "romagnol" },
	{ "rmy", "", "vlax romani" }, { "rom", "", "romany" },
	{ "rup", "", "aromanian|arumanian|macedo romanian" }, { "sad", "", "sandawe" },
	{ "sah", "", "yakut" }, { "sam", "", "samaritan aramaic" }, { "sas", "", "sasak" },
	{ "sat", "", "santali" }, { "scn", "", "sicilian" }, { "sco", "", "scots" },
	{ "sel", "", "selkup" }, { "sga", "", "irish old|old irish" },
	{ "sgs", "", "samogitian" }, { "shn", "", "shan" }, { "sid", "", "sidamo" },
	{ "skr", "", "saraiki" }, { "sma", "", "southern sami" }, { "smj", "", "lule sami" },
	{ "smn", "", "inari sami" }, { "sms", "", "skolt sami" }, { "snk", "", "soninke" },
	{ "sog", "", "sogdian" }, { "srn", "", "sranan tongo" }, { "srr", "", "serer" },
	{ "suk", "", "sukuma" }, { "sus", "", "susu" }, { "sux", "", "sumerian" },
	{ "syc", "", "classical syriac" }, { "syr", "", "syriac" }, { "szl", "", "silesian" },
	{ "tem", "", "timne" }, { "ter", "", "tereno" }, { "tet", "", "tetum" },
	{ "tig", "", "tigre" }, { "tiv", "", "tiv" }, { "tkl", "", "tokelau" },
	{ "tlh", "", "klingon|tlhingan hol" }, { "tli", "", "tlingit" },
	{ "tmh", "", "tamashek" }, { "tog", "", "tonga nyasa" }, { "tpi", "", "tok pisin" },
	{ "tsi", "", "tsimshian" }, { "tum", "", "tumbuka" }, { "tvl", "", "tuvalu" },
	{ "tyv", "", "tuvinian" }, { "udm", "", "udmurt" }, { "uga", "", "ugaritic" },
	{ "umb", "", "umbundu" }, { "vai", "", "vai" }, { "vec", "", "venetian" },
	{ "vls", "", "west flemish" }, { "vot", "", "votic" }, { "vro", "", "voro" },
	{ "wal", "", "walamo" }, { "war", "", "waray" }, { "was", "", "washo" },
	{ "wlm", "", "middle welsh" }, { "wuu", "", "wu chinese|shanghainese" },
	{ "xal", "", "kalmyk|oirat" }, { "xcl", "", "classical armenian" },
	{ "xmf", "", "mingrelian" }, { "xno", "", "anglo norman" }, { "yao", "", "yao" },
	{ "yap", "", "yapese" }, { "yua", "", "yucatec|yucatec maya" },
	{ "yue", "", "cantonese|yue chinese" }, { "zap", "", "zapotec" },
	{ "zbl", "", "blissymbols|blissymbolics|bliss" }, { "zea", "", "zeelandic" },
	{ "zen", "", "zenaga" }, { "zgh", "", "standard moroccan tamazight" },
	{ "zun", "", "zuni" }, { "zza", "", "zaza|dimili|dimli|kirdki|kirmanjki|zazaki" },
};

/* Words before a language's name that leave it the same language. */
static const char qualifiers[] =
	"simplified traditional brazilian european american british canadian australian "
	"mexican modern standard contemporary in";

/* Is the text one of a list with bars? */
static bool named(const char *text, size_t len, const char *names)
{
	while (*names != '\0') {
		size_t n = strcspn(names, "|");

		if (n == len && memcmp(names, text, len) == 0)
			return true;
		names += n + (names[n] == '|');
	}
	return false;
}

/* The language whose code or name the text is as a whole; NULL: none. */
static const char *look_up(const char *text, size_t len, bool names_only)
{
	for (size_t i = 0; i < BF_COUNT(languages); i++) {
		const struct language *l = &languages[i];

		if (!names_only && (words_is(text, len, l->code) || words_in(text, len, l->codes)))
			return l->code;
		if (named(text, len, l->names))
			return l->code;
	}
	return NULL;
}

/* `en us`, `zh hans cn`, `es 419`: a code, and a country or script behind it; `ger german`. */
static const char *look_up_tagged(const char *text)
{
	size_t len = words_len(text), next;
	const char *code, *rest = text + len + (text[len] == ' ');

	if (len < 2 || len > 3 || *rest == '\0')
		return NULL;
	code = look_up(text, len, false);
	next = words_len(rest);
	if (code == NULL)
		return NULL;
	if (next == 2 || (len == 2 && (next == 3 || next == 4)))
		return rest[next] == '\0' || rest[next] == ' ' ? code : NULL;
	return look_up(rest, strlen(rest), true) == code ? code : NULL;
}

/* One language in folded words: `english us`, `greek modern 1453`, `simplified chinese`. */
static const char *look_up_words(const char *text)
{
	const char *code = look_up(text, strlen(text), false);

	if (code == NULL)
		code = look_up_tagged(text);
	/* its first words are a name */
	for (size_t len = strlen(text); code == NULL && len > 0;) {
		while (len > 0 && text[len - 1] != ' ')
			len--;
		len -= len > 0;
		if (len >= 4)
			code = look_up(text, len, true);
	}
	for (size_t len; code == NULL && words_in(text, len = words_len(text), qualifiers);) {
		if (text[len] == '\0')
			break;
		text += len + 1;
		code = look_up(text, strlen(text), true);
	}
	return code;
}

const char *bf_language_code(const char *text)
{
	char folded[128], part[128];
	const char *code = NULL;

	if (text == NULL)
		return NULL;
	if (strchr(text, '/') != NULL && (text[0] == '/' || strstr(text, "://") != NULL))
		text = strrchr(text, '/') + 1; /* /languages/eng */
	bf_fold(text, folded, sizeof(folded));
	if (folded[0] == '\0')
		return NULL;
	code = look_up_words(folded);
	while (code == NULL && *text != '\0') { /* several: the first that is one */
		size_t len = strcspn(text, ";,/|");

		if (len < sizeof(part)) {
			memcpy(part, text, len);
			part[len] = '\0';
			bf_fold(part, folded, sizeof(folded));
			if (folded[0] != '\0')
				code = look_up_words(folded);
		}
		text += len + (text[len] != '\0');
	}
	return code;
}

#include "controlplane/lifecycle/filter_grammar.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>

#include "controlplane/policy/address.hpp"
#include "controlplane/policy/names.hpp"

namespace sluice::cp {

namespace {

using abi::FlowField;
using Number = std::uint64_t;

constexpr std::array<NamedNumber, 9> kProtocols{{{"tcp", 6},
                                                 {"udp", 17},
                                                 {"icmp", 1},
                                                 {"icmp6", 58},
                                                 {"sctp", 132},
                                                 {"gre", 47},
                                                 {"esp", 50},
                                                 {"ah", 51},
                                                 {"igmp", 2}}};

struct Token {
    std::string_view text;
    std::size_t column{};
};

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == ':' || c == '/';
}

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> tokens;
    for (std::size_t at = 0; at < text.size();) {
        if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
            ++at;
            continue;
        }
        std::size_t end = at + 1;
        if (is_word(text[at])) {
            while (end < text.size() && is_word(text[end])) ++end;
        } else if (end < text.size() && text[end] == '=' && std::string_view{"=!<>"}.find(text[at]) < 4) {
            ++end;
        }
        tokens.push_back({text.substr(at, end - at), at + 1});
        at = end;
    }
    return tokens;
}

std::optional<Number> whole_number(std::string_view text) {
    Number n{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return n;
}

/// Seconds with up to three decimals, in milliseconds.
std::optional<Number> milliseconds(std::string_view text) {
    const auto dot = text.find('.');
    const auto whole = whole_number(text.substr(0, dot));
    if (!whole || *whole > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
    if (dot == std::string_view::npos) return *whole * 1000;
    std::string decimals{text.substr(dot + 1)};
    if (decimals.empty() || decimals.size() > 3) return std::nullopt;
    decimals.resize(3, '0');
    const auto part = whole_number(decimals);
    return part ? std::optional{*whole * 1000 + *part} : std::nullopt;
}

abi::FlowRange prefix_range(const Prefix& prefix) {
    abi::FlowRange r;
    r.family = static_cast<std::uint8_t>(prefix.family);
    const unsigned bits = prefix.family == abi::IpFamily::v6 ? 128 : 32;
    std::array<Number, 2> mask{};
    for (unsigned bit = 0; bit < bits; ++bit) {
        r.first[0] = r.first[0] << 1 | r.first[1] >> 63;
        r.first[1] = r.first[1] << 1 | (prefix.addr.bytes[bit / 8] >> (7 - bit % 8) & 1U);
        mask[0] = mask[0] << 1 | mask[1] >> 63;
        mask[1] = mask[1] << 1 | (bit < prefix.bits ? 0U : 1U);
    }
    r.last = {r.first[0] | mask[0], r.first[1] | mask[1]};
    return r;
}

abi::FlowRange number_range(Number first, Number last) {
    abi::FlowRange r;
    r.first = {0, first};
    r.last = {0, last};
    return r;
}

class Parser {
public:
    Parser(std::string_view text, const FilterVocabulary& vocabulary)
        : tokens_{tokens_of(text)}, end_column_{text.size() + 1}, vocabulary_{vocabulary} {}

    Expected<abi::FlowFilter, FilterError> parse() {
        while (at_ < tokens_.size() || filter_.term_count != 0) {
            if (!condition()) return Unexpected<FilterError>{*error_};
            if (at_ == tokens_.size()) break;
            const Token joint = take();
            if (joint.text != "and") {
                fail(joint, "conditions are joined by `and`, here stands " + quoted(joint.text));
                return Unexpected<FilterError>{*error_};
            }
        }
        return filter_;
    }

private:
    static std::string quoted(std::string_view text) { return "\"" + std::string{text} + "\""; }

    /// The end of the text is a token without letters.
    Token take() { return at_ < tokens_.size() ? tokens_[at_++] : Token{"", end_column_}; }
    bool next_is(std::string_view text) const { return at_ < tokens_.size() && tokens_[at_].text == text; }

    bool fail(const Token& where, std::string detail) {
        if (!error_) error_ = FilterError{where.column, std::move(detail)};
        return false;
    }

    bool condition() {
        const Token word = take();
        const auto fields = vocabulary_.fields;
        const auto field =
            std::find_if(fields.begin(), fields.end(), [&](const FilterField& f) { return f.word == word.text; });
        if (field == fields.end()) {
            std::vector<std::string_view> known;
            for (const auto& f : fields) known.push_back(f.word);
            return fail(word, word.text.empty() ? "a condition is missing: write FIELD == VALUE, e.g. dport == 443"
                                                : no_such("field", word.text, known));
        }
        if (filter_.term_count == abi::kFlowTermsMax) {
            return fail(word, "more than " + std::to_string(abi::kFlowTermsMax) + " conditions; leave some out");
        }
        abi::FlowTerm& term = filter_.terms[filter_.term_count++];
        term.field = field->field;
        term.first_range = static_cast<std::uint8_t>(filter_.range_count);
        const Token op = take();
        if (op.text == "in") return set(*field, term);
        if (op.text == "==" || op.text == "!=") {
            term.negated = op.text == "!=" ? 1 : 0;
            return value(*field, term);
        }
        if (op.text == "<" || op.text == "<=" || op.text == ">" || op.text == ">=") return bound(*field, op, term);
        return fail(op, "after " + quoted(word.text) + " comes ==, !=, in" +
                            (ordered(*field) ? ", <, <=, > or >=" : "") +
                            (op.text.empty() ? "" : ", not " + quoted(op.text)));
    }

    static bool ordered(const FilterField& field) {
        return field.kind == FilterKind::number || field.kind == FilterKind::seconds;
    }

    bool set(const FilterField& field, abi::FlowTerm& term) {
        if (const Token open = take(); open.text != "{") return fail(open, "after in comes a list: in {A, B}");
        do {
            if (!value(field, term)) return false;
            const Token next = take();
            if (next.text == "}") return true;
            if (next.text != ",") return fail(next, "a list goes on with , and ends with }");
        } while (true);
    }

    bool bound(const FilterField& field, const Token& op, abi::FlowTerm& term) {
        if (!ordered(field)) {
            return fail(op, quoted(field.word) + " has no order; compare it with ==, != or in");
        }
        const Token word = take();
        const auto n = field.kind == FilterKind::seconds ? milliseconds(word.text) : whole_number(word.text);
        if (!n) return fail(word, wrong_number(field, word));
        constexpr Number max = std::numeric_limits<Number>::max();
        // An empty range (first above last) is what nothing fits.
        if (op.text == "<") return add(word, term, *n == 0 ? number_range(1, 0) : number_range(0, *n - 1));
        if (op.text == "<=") return add(word, term, number_range(0, *n));
        if (op.text == ">") return add(word, term, *n == max ? number_range(1, 0) : number_range(*n + 1, max));
        return add(word, term, number_range(*n, max));
    }

    bool value(const FilterField& field, abi::FlowTerm& term) {
        const Token word = take();
        switch (field.kind) {
            case FilterKind::address: {
                const auto prefix = parse_prefix(word.text);
                if (!prefix) {
                    return fail(word, quoted(word.text) + " is no address and no prefix; write e.g. 10.0.0.0/8");
                }
                return add(word, term, prefix_range(*prefix));
            }
            case FilterKind::word: {
                const auto number = vocabulary_.number_of(field, word.text);
                return number ? add(word, term, number_range(*number, *number)) : fail(word, number.error());
            }
            default: return range(field, word, term);
        }
    }

    /// `443`, `8000-8100`, `1.5`
    bool range(const FilterField& field, const Token& word, abi::FlowTerm& term) {
        const auto read = [&](std::string_view text) {
            return field.kind == FilterKind::seconds ? milliseconds(text) : whole_number(text);
        };
        const auto dash = word.text.find('-');
        const auto first = read(word.text.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : read(word.text.substr(dash + 1));
        if (!first || !last || *first > *last || (field.kind == FilterKind::number && *last > field.max)) {
            return fail(word, wrong_number(field, word));
        }
        return add(word, term, number_range(*first, *last));
    }

    static std::string wrong_number(const FilterField& field, const Token& word) {
        if (field.kind == FilterKind::seconds)
            return quoted(word.text) + " is no number of seconds; write e.g. 30 or 1.5";
        const bool bounded = field.max != std::numeric_limits<Number>::max();
        return quoted(word.text) + " is no number" + (bounded ? " from 0 to " + std::to_string(field.max) : "") +
               " and no range of them; write e.g. " + std::string{field.example};
    }

    bool add(const Token& word, abi::FlowTerm& term, const abi::FlowRange& range) {
        if (filter_.range_count == abi::kFlowRangesMax) {
            return fail(word, "more than " + std::to_string(abi::kFlowRangesMax) + " values; leave some out");
        }
        filter_.ranges[filter_.range_count++] = range;
        ++term.range_count;
        return true;
    }

    std::vector<Token> tokens_;
    std::size_t at_{};
    std::size_t end_column_;
    const FilterVocabulary& vocabulary_;
    abi::FlowFilter filter_{};
    std::optional<FilterError> error_;
};

}  // namespace

std::optional<std::uint64_t> number_named(std::span<const NamedNumber> names, std::string_view word) {
    const auto at = std::find_if(names.begin(), names.end(), [&](const NamedNumber& n) { return n.word == word; });
    return at == names.end() ? std::nullopt : std::optional{at->number};
}

std::vector<std::string_view> words_of(std::span<const NamedNumber> names) {
    std::vector<std::string_view> words;
    for (const auto& n : names) words.push_back(n.word);
    return words;
}

std::string no_such(std::string_view kind, std::string_view word, const std::vector<std::string_view>& known) {
    std::string text = "there is no " + std::string{kind} + " \"" + std::string{word} + "\"";
    if (auto meant = did_you_mean(word, known); !meant.empty()) return text + meant;
    if (known.empty()) return text;
    text += known.size() == 1 ? "; there is " : "; there are ";
    constexpr std::size_t shown_max = 16;
    for (std::size_t i = 0; i < std::min(known.size(), shown_max); ++i) {
        text += (i == 0 ? "" : ", ") + std::string{known[i]};
    }
    return text + (known.size() > shown_max ? ", ..." : "");
}

Expected<std::uint64_t, std::string> protocol_named(std::string_view word) {
    auto number = number_named(kProtocols, word);
    if (!number) number = whole_number(word);
    if (!number || *number > 255) return Unexpected(no_such("protocol", word, words_of(kProtocols)));
    return *number;
}

Expected<abi::FlowFilter, FilterError> parse_filter(std::string_view text, const FilterVocabulary& vocabulary) {
    return Parser{text, vocabulary}.parse();
}

}  // namespace sluice::cp

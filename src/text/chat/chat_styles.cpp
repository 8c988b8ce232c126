#include "text/chat/chat_styles.h"

#include <array>
#include <utility>

#include "base/error.h"

namespace pare {
namespace {

constexpr std::string_view kChatMl = R"(
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})";

constexpr std::string_view kLlama3 = R"(
{{- bos_token }}
{%- for m in messages %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %})";

// Template in which the system message stands in the first user's, between marks.
constexpr std::string_view kLlama2 = R"(
{%- set system = '' %}
{%- if messages[0].role == 'system' %}
{%- set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}
{%- set messages = messages[1:] %}
{%- endif %}
{%- for m in messages %}
{%- if m.role == 'assistant' %}{{ ' ' + m.content | trim + ' ' }}{{ eos_token }}
{%- else %}{{ bos_token }}{{ '[INST] ' + ((system if loop.first else '') + m.content) | trim + ' [/INST]' }}
{%- endif %}
{%- endfor %})";

// The first version has no system message: it goes before the first user's text, in later ones before the
// last.
constexpr std::string_view kMistralV1 = R"(
{{- bos_token }}
{%- set system = '' %}
{%- if messages[0].role == 'system' %}
{%- set system = messages[0].content + '\n\n' %}
{%- set messages = messages[1:] %}
{%- endif %}
{%- for m in messages %}
{%- if m.role == 'assistant' %}{{ m.content }}{{ eos_token }}
{%- else %}{{ '[INST] ' + (system if loop.first else '') + m.content + ' [/INST]' }}
{%- endif %}
{%- endfor %})";

constexpr std::string_view kMistralV3 = R"(
{{- bos_token }}
{%- set system = '' %}
{%- if messages[0].role == 'system' %}
{%- set system = messages[0].content + '\n\n' %}
{%- set messages = messages[1:] %}
{%- endif %}
{%- for m in messages %}
{%- if m.role == 'assistant' %}{{ ' ' + m.content | trim }}{{ eos_token }}
{%- else %}{{ '[INST] ' + (system if loop.last else '') + m.content + '[/INST]' }}
{%- endif %}
{%- endfor %})";

constexpr std::string_view kMistralTekken = R"(
{{- bos_token }}
{%- set system = '' %}
{%- if messages[0].role == 'system' %}
{%- set system = messages[0].content + '\n\n' %}
{%- set messages = messages[1:] %}
{%- endif %}
{%- for m in messages %}
{%- if m.role == 'assistant' %}{{ m.content }}{{ eos_token }}
{%- else %}{{ '[INST]' + (system if loop.last else '') + m.content + '[/INST]' }}
{%- endif %}
{%- endfor %})";

constexpr std::string_view kPhi3 = R"(
{{- bos_token }}
{%- for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %})";

constexpr std::string_view kPhi2 = R"(
{%- for m in messages %}
{%- if m.role == 'user' %}{{ 'Instruct: ' + m.content | trim + '\nOutput:' }}
{%- elif m.role == 'assistant' %}{{ ' ' + m.content | trim + '\n' }}
{%- else %}{{ m.content | trim + '\n' }}
{%- endif %}
{%- endfor %})";

constexpr std::string_view kZephyr = R"(
{%- for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}{{ eos_token }}{{ '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %})";

constexpr std::array<ChatStyle, 9> kStyles = {{{"chatml", kChatMl, "<|im_end|>"},
                                               {"llama2", kLlama2, ""},
                                               {"llama3", kLlama3, "<|eot_id|>"},
                                               {"mistral-v1", kMistralV1, ""},
                                               {"mistral-v3", kMistralV3, ""},
                                               {"mistral-tekken", kMistralTekken, ""},
                                               {"phi3", kPhi3, "<|end|>"},
                                               {"phi2", kPhi2, ""},
                                               {"zephyr", kZephyr, ""}}};

}  // namespace

std::string chat_style_names() {
  std::string names;
  for (const ChatStyle& style : kStyles) names.append(names.empty() ? "" : ", ").append(style.name);
  return names;
}

ChatTemplate chat_template_named(std::string_view name, std::map<std::string, std::string> tokens) {
  return {{{"default", std::string(chat_style_named(name).source)}}, std::move(tokens)};
}

const ChatStyle& chat_style_named(std::string_view name) {
  for (const ChatStyle& style : kStyles)
    if (style.name == name) return style;
  fail(ErrorCode::kUsage, "chat template \"{}\" is not known, expected a .jinja file or one of {}", name,
       chat_style_names());
}

}  // namespace pare

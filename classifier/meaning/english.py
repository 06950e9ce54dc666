"""English words that decide what is asked, by what is made of them.

Lists alone. A word that stands in none of them is told from others by its vector. Phrases are written as they are after
contractions were spelt out ("what's" as "what is") and in lower case; the first of a line of synonyms stands for all.
"""

from typing import Final

NOTHING: Final = """
hi|hello|hey|hi there|hello there|hey there|good morning|good afternoon|good evening|dear team|dear support|dear all
excuse me|pardon me|sorry|sorry to bother you|quick question|a quick question|one question|a question|question
i have a question|i have a quick question|please|pls|kindly|so|well|ok|okay|also|and|just|actually|um
tell me|please tell me|can you tell me|could you tell me|would you tell me|can you please tell me
could you please tell me|would you please tell me|let me know|please let me know|i want to know|i need to know
i would like to know|i would love to know|i wonder|i was wondering|i am wondering|do you know|do you happen to know
would you know|any idea|do you have any idea|may i ask|can i ask|could i ask|please answer|answer this
i am trying to find out|i am curious|can you let me know|could you let me know|thanks in advance
""".strip()
"""What may stand before a question without changing it."""

ENDS: Final = """
thanks|thank you|thank you very much|thanks a lot|many thanks|thanks in advance|thank you in advance|cheers|please|pls
please let me know|let me know|please tell me|for me|for me please|kind regards|regards|best regards|have a nice day
please answer|if you know|do you know|please advise|please help|help
""".strip()
"""What may stand behind it."""

KINDS: Final = {
    "way": """
how do i|how do we|how do you|how can i|how can we|how can you|how could i|how would i|how to|how does one|how can one
how might i|what is the way to|what is the right way to|what is the correct way to|what do i do to|what must i do to
what do i have to do to|what do i need to do to|what should i do to|explain how to|explain how i can|show me how to
explain to me how to|can you explain how to|could you explain how to|can you show me how to|could you show me how to
teach me how to|tell me how to|tell me how i can|what steps do i take to|what are the steps to|in what way can i
how i can|how i could|how would you|how one can|how we can|how do people|i want to know how to|how should one
""",
    "you": """
can you|could you|would you|will you|can you please|could you please|would you please|will you please|please
i want you to|i need you to|i would like you to|help me|help me to|can you help me|could you help me|please help me
can you help me to|could you help me to|please help me to|would you help me
""",
    "me": "i want to|i would like to|i need to|i wish to|i would love to|i am trying to|i try to|i have to|i intend to",
    "want": """
give me|send me|show me|please give me|please send me|please show me|i need|i want|i would like|can i have|may i have
could i have|can i get|could i get|can you give me|can you send me|can you show me|could you give me|could you send me
could you show me|get me|provide me with|can you provide me with|please provide|provide|i am looking for|let me have
""",
    "what": """
what is|what are|what is the|what are the|tell me about|tell me the|tell me|please tell me about|can you tell me about
could you tell me about|can you tell me the|could you tell me the|what can you tell me about|i want to know about
i would like to know about|i need to know about|i would like to know the|i want to know the|i need to know the
please tell me the
""",
    "mean": "what is the meaning of|what is meant by|define|what is the definition of|give me the definition of",
    "why": "why|why is it that|how come|what is the reason that|what is the reason why|for what reason|tell me why",
    "explain": """
explain|describe|please explain|please describe|can you explain|could you explain|can you describe|could you describe
explain to me|can you explain to me|could you explain to me|give me an explanation of
""",
    "summary": """
summarize|summarise|sum up|give me a summary of|write a summary of|can you summarize|could you summarize|recap
please summarize|please sum up
""",
    "whether": "if|whether",
    "can": "can i|could i|can we|can one|could one|is it possible to|is it possible for me to|am i able to",
    "when": "when|at what time|at which time|what time|at what hour|on what date|on which date|what is the date when",
    "where": "where|in what place|in which place|at what place|at which place|whereabouts",
}
"""What kind of answer is wanted, by how the question begins."""

WHETHER: Final = (
    "is are am was were do does did has have had can could should shall will would may might must ought need dare"
)
"""A question that begins with one of these wants yes or no."""

ASKED: Final = """
how many|how much|how long|how often|how far|how old|how big|how tall|how high|how deep|how fast|how heavy|how soon
how large|how wide|how hot|how cold|how late|how early|how good|how bad|how strong|how come|how|who|whom|whose|when
where|why|which|what|what kind of|what time
"""
"""Asks for something wherever it stands."""

MANNERS: Final = {
    "past": "was were did had",
    "future": "will shall",
    "can": "can could may",
    "should": "should ought",
    "must": "must",
    "might": "might",
}
"""Tell when, or how surely; where they stand is a matter of wording."""

FILLERS: Final = """
a an the this that these those is are am be been being do does have has having contain contains containing it its
there here to of in on at as i me my mine myself we us our ours some any just really actually currently
exactly simply kindly then so well very quite bit also if would get got s t etc and way
someone one's oneself
"""
"""Words that are left out; none of them tells one question from another."""

HARD: Final = """
please pls thanks thank hello hi hey
not no never none nobody nothing nowhere neither nor without cannot lack lacks lacking missing except excluding unless
only all every each both either any half double triple twice once again another other others else same different
more less most least fewer enough much many few several least minimum maximum min max
from before after until since during between among against above below over under inside outside behind beside across
around near far within beyond through toward towards via per instead versus vs than or but because although despite
going used
yesterday today tomorrow tonight now later earlier soon ago currently formerly ever always often sometimes rarely seldom
usually morning afternoon evening night noon midnight day days week weeks month months year years hour hours minute
minutes second seconds decade decades century centuries weekend weekday weekdays weekends spring summer autumn fall
winter daily weekly monthly yearly annually annual hourly quarterly am pm
you your yours yourself he him his she her hers they them their theirs himself herself themselves it's
i'd one's who whom whose
open opened close closed opening closing start started begin began end ended ending stop stopped finish finished
on off enable enabled disable disabled activate deactivate add added remove removed delete deleted insert create created
destroy destroyed install uninstall import export upload download increase increased decrease decreased raise raised
lower lowered reduce reduced rise rising fallen grow growing shrink buy bought sell sold send sent receive received
give gave given take took taken borrow lend lent lending borrowing rent pay paid earn spend save saved win won lose lost
push pull lock unlock encrypt decrypt accept accepted reject rejected refuse refused allow allowed permit permitted
forbid forbidden deny denied prohibit ban include included include exclude excluded enter exit arrive arrival depart
departure leave join quit connect disconnect attach detach subscribe unsubscribe show hide read write teach learn ask
answer cause prevent love like hate dislike live die born died dead alive marry divorce agree disagree succeed fail
pass failed approve approved disapprove follow unfollow block unblock mute unmute freeze thaw heat cool charge
discharge compress decompress zip unzip encode decode expand collapse merge split sort shuffle ascend descend ascending
descending asc desc sync fill empty lengthen shorten tighten loosen strengthen weaken improve worsen gain hire fire
praise criticize defend attack invest withdraw deposit debit credit debt loan owe owes owed
big large small little tiny huge long short tall wide narrow thick thin deep shallow high low heavy light fast slow
quick hot cold warm cool young old new ancient modern early late first last next previous final initial best worst
better worse good bad great poor rich cheap cheaper cheapest expensive dear costly easy hard difficult simple complex
possible impossible true false right wrong correct incorrect safe unsafe dangerous legal illegal valid invalid able
unable available unavailable known unknown happy sad unhappy healthy unhealthy sick strong weak wet dry clean dirty
full hungry thirsty loud quiet bright dark smooth rough soft sharp blunt sweet sour bitter salty public private
internal external local remote online offline free paid busy active inactive positive negative odd even prime upper
single married male female man woman men women boy girl boys girls father mother son daughter brother sister husband
wife uncle aunt king queen prince princess grandfather grandmother parent child children parents adult adults baby
front back top bottom left north south east west northern southern eastern western up out down too forward backward
forwards backwards upward downward upstairs downstairs vertical horizontal inner outer domestic foreign
import exports imports plus minus times divided multiplied sum difference product quotient square cube root average
mean median mode total black white red green blue yellow orange purple pink brown grey gray gold silver
meter meters metre metres kilometer kilometers kilometre kilometres centimeter centimeters centimetre centimetres
millimeter millimeters mile miles yard yards foot feet inch inches km cm mm kg g mg lb lbs oz pound pounds ounce ounces
gram grams kilogram kilograms ton tons tonne tonnes liter liters litre litres ml milliliter gallon gallons pint pints
celsius fahrenheit kelvin degrees degree byte bytes kb mb gb tb kilobyte megabyte gigabyte terabyte bit bits watt watts
kilowatt volt volts amp amps joule joules calorie calories percent dollar dollars euro euros cent cents yen yuan
rupee rupees franc francs peso pesos ruble rubles usd eur gbp cny jpy inr mph kph acre acres hectare hectares ghz mhz hz
january february march april june july august september october november december monday tuesday wednesday thursday
friday saturday sunday mon tue wed thu fri sat sun
one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion dozen
third fourth fifth sixth seventh eighth ninth tenth zero
python java javascript rust ruby perl swift linux windows macos android ios sql html css json xml csv yaml pdf
breakfast lunch dinner supper cash cheque check crypto invoice receipt refund exchange replacement
cause effect causes effects advantage advantages disadvantage disadvantages pros cons benefit benefits drawback
drawbacks similarity similarities difference differences strength strengths weakness weaknesses risk risks
import side increase theory practice singular plural verb noun adjective adverb acid base input output client server
source target sender receiver buyer seller landlord tenant teacher student doctor patient lawyer judge employer employee
boss customer supplier host guest author reader winner loser friend enemy hero villain
""".strip()
"""Words that both questions must have, the same ones in the same order."""

SYNONYMS: Final = """
sign in|log in|login|signin|log on|log into|sign into
sign out|log out|logout|signout|log off
delete|erase|get rid of
buy|purchase
bought|purchased
start|begin|commence
started|began|begun
finish|complete
big|large
fast|quick|quickly|rapidly
right|correct
wrong|incorrect
cheap|inexpensive
expensive|costly|pricey
difficult|hard
permitted|allowed
send back|return
cancel|call off
repair|fix|mend
phone|telephone
mobile|cell phone|cellphone|mobile phone|smartphone
photo|photograph|picture|pic
car|automobile
bike|bicycle
film|movie
email|e mail|mail address|email address
e-mail|email
reset|recover|restore
contact|get in touch with|reach out to
staff|personnel
job|occupation
city|town
physician|doctor
gray|grey
color|colour
center|centre
kilometers|kilometres|km|kilometer|kilometre
meters|metres|meter|metre
kilograms|kg|kilogram|kilos|kilo
pounds|lbs|lb|pound
centimeters|centimetres|cm|centimeter|centimetre
dollars|dollar|usd
euros|euro|eur
fall|autumn
christmas|xmas
usa|us|united states|america|the united states
uk|united kingdom|the united kingdom|great britain
monday|mon
tuesday|tue
wednesday|wed
thursday|thu
friday|fri
saturday|sat
sunday|sun
must|have to|has to|need to|needs to
can|able to
happen|occur|take place
happened|occurred|took place
1|one
2|two
3|three
4|four
5|five
6|six
7|seven
8|eight
9|nine
10|ten
11|eleven
12|twelve
20|twenty
100|hundred|a hundred|one hundred
1000|thousand|a thousand|one thousand
minimum|min
maximum|max
versus|vs
difference|differences
newsletter|newsletters
unsubscribe from|opt out of
""".strip()
"""Phrases that mean the same wherever they stand; the first stands for the others."""

CONTRACTED: Final = {
    "can't": "can not",
    "cant": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "couldnt": "could not",
    "shouldnt": "should not",
    "wouldnt": "would not",
    "hasnt": "has not",
    "havent": "have not",
    "im": "i am",
    "ive": "i have",
    "whats": "what is",
    "wheres": "where is",
    "hows": "how is",
    "let's": "let us",
    "wanna": "want to",
    "gonna": "going to",
    "ain't": "is not",
}
SUFFIXED: Final = {"n't": "not", "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would"}
WITH_IS: Final = frozenset("what who where when how why it that there here he she".split())
"""Behind these "'s" is short for "is"; behind any other word it says whose."""

PREPOSITIONS: Final = frozenset("to for about with like by into onto".split())
"""Tell who does what to whom: they count where a name or a number follows."""
